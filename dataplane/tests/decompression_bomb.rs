//! A body that grows without end, alone in its process: what is measured is the whole process's memory.
#![allow(clippy::expect_used, reason = "failing is what a test does")]

mod harness;

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use harness::{options, start};

const INFER: &str = "/v2/models/echo/infer";

/// The most memory that this process has had, in KiB.
fn peak_kib() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .expect("a peak");
    line.trim().trim_end_matches(" kB").parse().expect("KiB")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_megabyte_that_claims_to_be_a_gigabyte_is_413_in_a_few_mebibytes() {
    let server = start(&options()).await;
    let mut client = server.client().await;
    assert_eq!(
        client
            .post(INFER, harness::body("FP32", "[1]", "[1]"))
            .await
            .status,
        200
    );
    let bomb = {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        let zeros = vec![b' '; 1 << 20];
        for _ in 0..1024 {
            encoder.write_all(&zeros).expect("memory");
        }
        encoder.finish().expect("memory")
    };
    assert!(bomb.len() < 1_200_000, "{}", bomb.len());
    std::fs::write("/proc/self/clear_refs", "5").expect("the peak is reset");
    let before = peak_kib();
    let answer = client
        .request("POST", INFER, "Content-Encoding: gzip\r\n", &bomb)
        .await;
    assert_eq!(answer.status, 413);
    let more = peak_kib() - before;
    assert!(more < 12 << 10, "{more} KiB");
}
