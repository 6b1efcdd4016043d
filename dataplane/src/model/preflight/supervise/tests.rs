use super::*;

fn ended(signal: i32) -> Failure {
    Failure::Ended(ExitStatus::from_raw(signal))
}

#[test]
fn the_end_of_a_child_is_explained_with_what_to_do() {
    for (failure, part) in [
        (Failure::TimedOut, "--model-load-timeout"),
        (ended(24), "--model-load-timeout"),
        (Failure::OutOfMemory, "more than the 64 MiB"),
        (ended(6), "more than the 64 MiB"),
        (ended(9), "--model-memory-mib"),
        (ended(11), "it crashes ONNX Runtime (signal 11"),
        (ended(1 << 8), "exit status 1"),
    ] {
        let text = explain(&failure, "ONNX Runtime", Duration::from_secs(60), 64 << 20);
        assert!(text.contains(part), "{failure:?}: {text}");
    }
}

/// A child of ours that runs `script` in place of a preflight.
fn child(script: &str) -> Child {
    Command::new("sh")
        .args(["-c", script])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

fn within(millis: u64) -> Limits {
    Limits {
        time: Duration::from_millis(millis),
        memory: 1 << 30,
    }
}

#[test]
fn a_child_that_takes_too_much_or_crashes_is_distinguished_from_a_slow_one() {
    let (_hold, waiting) = watch();
    let tight = Limits {
        memory: 1,
        ..within(60_000)
    };
    let outcome = finish(child("exec sleep 600"), waiting, tight).unwrap();
    assert_eq!(outcome.unwrap_err(), Failure::OutOfMemory);

    let (_hold, waiting) = watch();
    let outcome = finish(child("kill -SEGV $$"), waiting, within(60_000)).unwrap();
    assert_eq!(outcome.unwrap_err(), ended(11));
}

#[test]
fn a_child_that_writes_too_much_or_nothing_is_ended_without_a_report() {
    let (_hold, watch) = watch();
    let begun = Instant::now();
    let outcome = finish(child("exec yes"), watch, within(60_000)).unwrap();
    assert!(matches!(outcome, Err(Failure::Ended(_))), "{outcome:?}");
    assert!(begun.elapsed() < Duration::from_secs(30));
}

#[test]
fn a_child_is_ended_when_its_time_is_over_or_nobody_waits() {
    let (hold, waiting) = watch();
    let outcome = finish(child("exec sleep 600"), waiting, within(50)).unwrap();
    assert_eq!(outcome.unwrap_err(), Failure::TimedOut);
    drop(hold);

    let (hold, waiting) = watch();
    drop(hold);
    let outcome = finish(child("exec sleep 600"), waiting, within(600_000)).unwrap();
    assert_eq!(outcome.unwrap_err(), Failure::GivenUp);
}
