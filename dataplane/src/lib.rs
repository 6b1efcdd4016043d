//! The data plane: answers inference requests in one pod, or in `serin run`.
