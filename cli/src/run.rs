//! `serin run`: serves models on this machine, from the files that a cluster takes.

mod announce;
mod plan;
mod request;
