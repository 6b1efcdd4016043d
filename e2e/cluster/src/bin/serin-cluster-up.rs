//! Brings up the cluster named by its argument: what the test of teardown starts and kills. People use `cargo xtask cluster up`.
#![forbid(unsafe_code)]
use std::process::ExitCode;

fn main() -> ExitCode {
    let Some(name) = std::env::args().nth(1) else {
        eprintln!("usage: serin-cluster-up NAME");
        return ExitCode::from(2);
    };
    match serin_e2e_cluster::up(&name) {
        Ok(_) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
