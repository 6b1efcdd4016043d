//! `serin run`: serves models on this machine, from the files that a cluster takes.

mod plan;
mod request;
