//! Versions that come and go under traffic: a short form of `cargo xtask drill loads`.

#[path = "support/churn.rs"]
mod churn;
mod support;

use churn::{End, Plan, read, run};

#[tokio::test(flavor = "multi_thread")]
async fn versions_that_come_and_go_leave_the_others_and_every_answer_right() {
    let plan = Plan {
        versions: 4,
        operators: 3,
        callers: 2,
        end: End::Changes(600),
        preflight: false,
    };
    let counts = run(plan, |_, _| {}).await;
    assert_eq!((read(&counts.wrong), read(&counts.failed)), (0, 0));
    assert!(read(&counts.staying) > 0 && read(&counts.changing) > read(&counts.absent));
    assert!(read(&counts.loads) > 0 && read(&counts.unloads) > 0);
}
