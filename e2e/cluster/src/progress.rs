//! Says on stderr what is being done, and from two seconds on for how long.
use std::{
    sync::mpsc::{RecvTimeoutError, Sender, channel},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

/// Steps shorter than this say nothing.
const SILENT_FOR: Duration = Duration::from_secs(2);
/// Longer steps repeat themselves this often.
const REPEAT: Duration = Duration::from_secs(15);

/// A step under way; says that it is done when dropped, if it had said that it began.
pub(crate) struct Step {
    end: Option<Sender<()>>,
    speaker: Option<JoinHandle<()>>,
}

/// One line, at once.
pub(crate) fn say(text: &str) {
    eprintln!("cluster: {text}");
}

/// Begins a step, for example `"building etcd"`. `detail` is asked for each time the step repeats itself.
pub(crate) fn step(what: &str, detail: impl Fn() -> String + Send + 'static) -> Step {
    let (end, ended) = channel();
    let what = what.to_owned();
    let speaker = thread::spawn(move || {
        let began = Instant::now();
        let mut wait = SILENT_FOR;
        while ended.recv_timeout(wait) == Err(RecvTimeoutError::Timeout) {
            let detail = detail();
            let comma = if detail.is_empty() { "" } else { ", " };
            say(&format!(
                "{what} ... {} s{comma}{detail}",
                began.elapsed().as_secs()
            ));
            wait = REPEAT;
        }
        if wait == REPEAT {
            say(&format!(
                "{what}: {:.0} s in all",
                began.elapsed().as_secs_f64()
            ));
        }
    });
    Step {
        end: Some(end),
        speaker: Some(speaker),
    }
}

impl Drop for Step {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(speaker) = self.speaker.take() {
            // It ends as soon as the channel closes; a panic in it has nothing to tell us.
            let _ = speaker.join();
        }
    }
}
