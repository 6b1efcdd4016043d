use super::*;

fn ended(signal: i32) -> Broken {
    Broken::Ended(ExitStatus::from_raw(signal))
}

#[test]
fn what_ended_a_trial_is_told_with_the_cure() {
    for (broken, part) in [
        (Broken::TimeOver, "--model-load-timeout"),
        (ended(24), "--model-load-timeout"),
        (Broken::OutOfMemory, "more than the 64 MiB"),
        (ended(6), "more than the 64 MiB"),
        (ended(9), "--model-memory-mib"),
        (ended(11), "it crashes ONNX Runtime (signal 11"),
        (ended(1 << 8), "exit status 1"),
    ] {
        let text = explain(&broken, "ONNX Runtime", Duration::from_secs(60), 64 << 20);
        assert!(text.contains(part), "{broken:?}: {text}");
    }
}

#[test]
fn large_models_may_take_longer() {
    let minute = Duration::from_secs(60);
    assert_eq!(longest(minute, 680), minute);
    assert_eq!(longest(minute, 2 << 30), minute + Duration::from_secs(128));
}

#[test]
fn what_a_child_says_is_one_bounded_line() {
    let text = readable(&"a\n\u{1b}[2J".repeat(10_000));
    assert!(text.len() <= LONGEST_REASON && !text.contains(char::is_control));
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
fn a_child_that_takes_too_much_or_crashes_is_told_from_one_that_is_slow() {
    let (_hold, waiting) = watch();
    let tight = Limits {
        memory: 1,
        ..within(60_000)
    };
    let outcome = finish(child("exec sleep 600"), waiting, tight).unwrap();
    assert_eq!(outcome.unwrap_err(), Broken::OutOfMemory);

    let (_hold, waiting) = watch();
    let outcome = finish(child("kill -SEGV $$"), waiting, within(60_000)).unwrap();
    assert_eq!(outcome.unwrap_err(), ended(11));
}

#[test]
fn a_child_that_says_too_much_or_nothing_is_ended_and_no_report() {
    let (_hold, watch) = watch();
    let begun = Instant::now();
    let outcome = finish(child("exec yes"), watch, within(60_000)).unwrap();
    assert!(matches!(outcome, Err(Broken::Ended(_))), "{outcome:?}");
    assert!(begun.elapsed() < Duration::from_secs(30));
}

#[test]
fn a_child_is_ended_when_its_time_is_over_or_nobody_waits() {
    let (hold, waiting) = watch();
    let outcome = finish(child("exec sleep 600"), waiting, within(50)).unwrap();
    assert_eq!(outcome.unwrap_err(), Broken::TimeOver);
    drop(hold);

    let (hold, waiting) = watch();
    drop(hold);
    let outcome = finish(child("exec sleep 600"), waiting, within(600_000)).unwrap();
    assert_eq!(outcome.unwrap_err(), Broken::GivenUp);
}
