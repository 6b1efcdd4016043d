//! Memory does not grow with the rows of a stream. Alone in its process, whose memory it reads.
#![allow(clippy::expect_used, reason = "failing is what a test does")]

mod harness;

use harness::stream::Stream;
use harness::{options, start};

/// Rows sent before their answers are read: more than are served at once.
const AT_ONCE: usize = 50;
const TURNS: usize = 400;
/// After this many turns every buffer has its size.
const WARM: usize = 40;
/// What noise there is on a busy machine; 18,000 rows of which anything is kept are more.
const SLACK_KIB: usize = 4 << 10;

fn resident_kib() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let number = line.and_then(|line| line.split_whitespace().nth(1));
    number
        .and_then(|number| number.parse().ok())
        .expect("a number")
}

#[tokio::test]
async fn twenty_thousand_rows_take_no_more_memory_than_two_thousand() {
    let server = start(&options()).await;
    let mut stream = Stream::rows(server.server.http_addr, "echo").await;
    // 400 bytes: kept, they would be twice the slack.
    let data = vec!["1.25"; 64].join(",");
    let row = format!(
        "{{\"inputs\":[{{\"name\":\"x\",\"shape\":[64],\"datatype\":\"FP32\",\"data\":[{data}]}}]}}\n"
    );
    let rows = row.repeat(AT_ONCE);
    let mut warm = 0;
    for turn in 0..TURNS {
        if turn == WARM {
            warm = resident_kib();
        }
        stream.send(&rows).await;
        for _ in 0..AT_ONCE {
            let line = stream.line().await.expect("an answer");
            assert!(line.starts_with("{\"model_name\""), "{line}");
        }
    }
    let grown = resident_kib().saturating_sub(warm);
    assert!(
        grown < SLACK_KIB,
        "{grown} KiB more after {} rows",
        AT_ONCE * TURNS
    );
    stream.finish().await;
    assert_eq!(stream.rest().await, (vec![], true));
}
