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
        let stage = Stage::of(&[Message::Opened(1)]);
        let most = Duration::from_secs(60);
        let text = explain(&failure, stage, "ONNX Runtime", most, 64 << 20);
        assert!(text.contains(part), "{failure:?}: {text}");
    }
}

#[test]
fn what_a_child_said_last_is_what_it_failed_at() {
    let edge = |at| Message::Edge {
        at,
        of_values: true,
    };
    for (said, part) in [
        (vec![], "it crashes ONNX Runtime"),
        (
            vec![Message::Opened(1), Message::Texts],
            "tokenizer.json crashes",
        ),
        (
            vec![Message::Texts, Message::Rows],
            "several rows at once crash",
        ),
    ] {
        let most = Duration::from_secs(60);
        let text = explain(&ended(8), Stage::of(&said), "ONNX Runtime", most, 1);
        assert!(text.contains(part), "{said:?}: {text}");
    }
    let last = Stage::of(&[edge(3), edge(4)]);
    let expected = Stage::Edge {
        at: 4,
        of_values: true,
    };
    assert_eq!(last, expected);
}

#[test]
fn what_is_said_before_a_crash_is_known() {
    let (_hold, waiting) = watch();
    let script = r#"echo '{"opened":3}'; echo '{"edge":{"at":7,"of_values":false}}'; kill -FPE $$"#;
    let outcome = finish(child(script), &waiting, within(60_000)).unwrap();
    assert_eq!(outcome.failure, Some(ended(8)));
    let stage = Stage::Edge {
        at: 7,
        of_values: false,
    };
    assert_eq!(Stage::of(&outcome.said), stage);
    // The next child is heard by itself.
    let script = r#"echo '{"passed":{"peak":1,"untried":2}}'"#;
    let outcome = finish(child(script), &waiting, within(60_000)).unwrap();
    assert_eq!((outcome.failure, outcome.said.len()), (None, 1));
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
    let outcome = finish(child("exec sleep 600"), &waiting, tight).unwrap();
    assert_eq!(outcome.failure.unwrap(), Failure::OutOfMemory);

    let (_hold, waiting) = watch();
    let outcome = finish(child("kill -SEGV $$"), &waiting, within(60_000)).unwrap();
    assert_eq!(outcome.failure.unwrap(), ended(11));
}

#[test]
fn a_child_that_writes_too_much_or_nothing_is_ended_without_a_report() {
    let (_hold, watch) = watch();
    let begun = Instant::now();
    let outcome = finish(child("exec yes"), &watch, within(60_000)).unwrap();
    assert!(
        matches!(outcome.failure, Some(Failure::Ended(_))),
        "{outcome:?}"
    );
    assert!(begun.elapsed() < Duration::from_secs(30));
}

#[test]
fn a_child_is_ended_when_its_time_is_over_or_nobody_waits() {
    let (hold, waiting) = watch();
    let outcome = finish(child("exec sleep 600"), &waiting, within(50)).unwrap();
    assert_eq!(outcome.failure.unwrap(), Failure::TimedOut);
    drop(hold);

    let (hold, waiting) = watch();
    drop(hold);
    let outcome = finish(child("exec sleep 600"), &waiting, within(600_000)).unwrap();
    assert_eq!(outcome.failure.unwrap(), Failure::GivenUp);
}
