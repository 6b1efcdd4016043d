//! Models of a made-up backend: nothing above it knows of ONNX.

use std::path::Path;
use std::time::Duration;

use super::*;
use crate::model::options::{LoadBounds, SourceOptions};
use crate::model::preflight::{Job, Message, try_model};
use serin_engine::Engine;
use serin_engine::fake::{Behaviour, FakeEngine};

/// A backend of files with its name as extension. One called `toy` opens them, unless their text is
/// `toy refused`; any other takes none for a model.
#[derive(Debug)]
struct Toy(&'static str);

impl Backend for Toy {
    fn name(&self) -> &'static str {
        self.0
    }

    fn runtime(&self) -> &'static str {
        "the toy"
    }

    fn main_file(&self) -> &'static str {
        match self.0 {
            "toy" => "model.toy",
            _ => "model.other",
        }
    }

    fn recognises(&self, artifact: &Artifact) -> bool {
        artifact.main().extension().is_some_and(|ext| ext == self.0)
    }

    fn other_files(&self, artifact: &Artifact) -> Result<Vec<std::path::PathBuf>, OpenError> {
        if self.0 != "toy" {
            return Err(OpenError::Unusable(
                "it is no model of the other kind".to_owned(),
            ));
        }
        let beside = artifact.main().with_file_name("weights");
        Ok(beside.exists().then_some(beside).into_iter().collect())
    }

    fn open(&self, artifact: &Artifact, _: &OpenOptions) -> Result<Opened, OpenError> {
        let text = std::fs::read_to_string(artifact.main()).unwrap();
        if text == "toy refused" {
            return Err(OpenError::Refused("the toy refuses it".to_owned()));
        }
        Ok(Opened {
            engine: Box::new(FakeEngine::new(Behaviour::Echo)),
            platform: "toy_platform",
            labels: Ok(vec!["a".to_owned()]),
        })
    }
}

fn backends() -> Backends {
    Backends::new(Arc::new(Toy("other")), vec![Arc::new(Toy("toy"))])
}

fn options(cache: &Path) -> LoaderOptions {
    LoaderOptions {
        source: SourceOptions {
            cache_dir: cache.to_path_buf(),
            max_bytes: 1 << 20,
            local_mode: true,
            extra_roots: None,
        },
        backends: backends(),
        threads: 1,
        bounds: LoadBounds {
            memory: 1 << 30,
            timeout: Duration::from_secs(60),
            preflight: false,
        },
    }
}

fn located(path: &Path) -> LocalArtifact {
    LocalArtifact {
        path: path.to_path_buf(),
        shown: "file:///shown".to_owned(),
    }
}

#[tokio::test]
async fn the_backend_that_recognises_a_model_opens_it() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("model.toy"), "toy").unwrap();
    std::fs::write(folder.path().join("weights"), "12345").unwrap();
    let at = located(folder.path());
    let model = open(&at, Asked::default(), &options(folder.path())).await;
    let model = model.unwrap();
    assert_eq!(model.opened.platform, "toy_platform");
    assert_eq!(model.opened.engine.signature().inputs[0].name, "x");
    assert_eq!(model.artifact.bytes(), 8);
    let digest = model.artifact.digest.unwrap();
    assert_eq!(
        digest,
        digest::of_file(&folder.path().join("model.toy")).unwrap()
    );
}

#[tokio::test]
async fn refusals_of_a_backend_name_the_source() {
    let folder = tempfile::tempdir().unwrap();
    let options = options(folder.path());
    let at = |name: &str| folder.path().join(name);
    std::fs::write(at("a.toy"), "toy refused").unwrap();
    let refused = open(&located(&at("a.toy")), Asked::default(), &options).await;
    assert_eq!(
        refused.err().unwrap().message,
        "model source file:///shown: the toy refuses it"
    );
    // What nobody recognises goes to the first backend, which says what is wrong with it.
    std::fs::write(at("a.text"), "text").unwrap();
    let unknown = open(&located(&at("a.text")), Asked::default(), &options).await;
    let unknown = unknown.err().unwrap();
    assert!(unknown.permanent);
    assert!(
        unknown
            .message
            .contains("it is no model of the other kind. Correct")
    );
    // Another digest than the declared one is the first thing that is reported.
    let declared = Asked {
        digest: Some("sha256:00".to_owned()),
        ..Asked::default()
    };
    let mismatch = open(&located(&at("a.text")), declared, &options).await;
    assert!(mismatch.err().unwrap().message.contains("digest mismatch"));
    let missing = open(&located(&at("absent")), Asked::default(), &options).await;
    assert!(
        missing
            .err()
            .unwrap()
            .message
            .contains("there is no such file")
    );
}

/// What a child says of the model `text` of a backend, starting with this edge.
fn said(backend: &str, text: &str, first_edge: usize) -> Vec<Message> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.toy");
    std::fs::write(&path, text).unwrap();
    let job = Job {
        backend: backend.to_owned(),
        runtime_library: None,
        artifact: Artifact::find(&path, &[]).unwrap(),
        threads: 1,
        memory: 1 << 30,
        merging: true,
        first_edge,
        run_ms: 1000,
        edges_ms: 10_000,
        cpu_s: 60,
        parent: std::process::id(),
    };
    let mut said = Vec::new();
    try_model(&job, &backends(), &mut |message| said.push(message));
    said
}

#[test]
fn a_preflight_says_each_step_before_it_and_tries_every_edge() {
    let said = said("toy", "toy", 0);
    let place = |wanted: fn(&Message) -> bool| said.iter().position(wanted).unwrap();
    let steps = [
        place(|said| matches!(said, Message::Opened(_))),
        place(|said| {
            matches!(
                said,
                Message::Ran {
                    unanswered: None,
                    ..
                }
            )
        }),
        place(|said| matches!(said, Message::Texts)),
        place(|said| matches!(said, Message::Rows)),
        place(|said| matches!(said, Message::Probed(_))),
        place(|said| matches!(said, Message::Edge { at: 0, .. })),
    ];
    assert!(steps.is_sorted(), "{said:?}");
    let edges = serin_engine::batch::edges(FakeEngine::new(Behaviour::Echo).signature()).len();
    assert!(
        matches!(said.last(), Some(Message::Passed { untried, .. }) if *untried == edges),
        "{said:?}"
    );
}

#[test]
fn a_child_after_one_that_an_edge_ended_tries_only_the_edges_that_are_left() {
    let said = said("toy", "toy", 2);
    let first = said.iter().find_map(|said| match said {
        Message::Edge { at, .. } => Some(*at),
        _ => None,
    });
    assert_eq!(first, Some(2));
    assert!(!said.contains(&Message::Rows) && !said.contains(&Message::Texts));
}

#[test]
fn a_preflight_is_run_by_the_backend_of_its_name() {
    let refused = Message::Refused("the toy refuses it".to_owned());
    assert_eq!(said("toy", "toy refused", 0), [refused]);
    assert_eq!(said("none", "toy", 0), [Message::Unavailable]);
}
