//! The program that libFuzzer drives: one target of many, named by `SERIN_FUZZ_TARGET`.
//!
//! With `SERIN_FUZZ_TASK` it does something else and ends: `list` names the targets,
//! `prepare:FOLDER` writes a target's seeds and dictionary there, `take:FOLDER` takes the inputs
//! there into the tree. All of it is `cargo xtask fuzz`'s to call.
#![forbid(unsafe_code)]
#![no_main]

use std::path::Path;
use std::process::exit;
use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use serin_fuzz::{TARGETS, Target, corpus};

static TARGET: OnceLock<&'static Target> = OnceLock::new();

fn chosen() -> &'static Target {
    let name = std::env::var("SERIN_FUZZ_TARGET").unwrap_or_default();
    serin_fuzz::target(&name).unwrap_or_else(|| {
        let known: Vec<_> = TARGETS.iter().map(|known| known.name).collect();
        eprintln!(
            "error: '{name}' is no target; there are {}",
            known.join(", ")
        );
        exit(2)
    })
}

/// Does the task that the environment names, if it names one.
fn begin() -> &'static Target {
    let Ok(task) = std::env::var("SERIN_FUZZ_TASK") else {
        return chosen();
    };
    let done = match task.split_once(':') {
        Some(("prepare", folder)) => corpus::prepare(chosen(), Path::new(folder)),
        Some(("take", folder)) => corpus::take(chosen(), Path::new(folder)),
        _ => {
            for target in TARGETS {
                println!("{}\t{}\t{}", target.name, target.longest, target.about);
            }
            Ok(())
        }
    };
    match done {
        Ok(()) => exit(0),
        Err(error) => {
            eprintln!("error: {task}: {error}");
            exit(2)
        }
    }
}

fuzz_target!(
    init: { TARGET.get_or_init(begin); },
    |data: &[u8]| {
        (TARGET.get_or_init(chosen).run)(data);
    }
);
