use super::*;

fn directory(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("serin-image-{}-{name}", process::id()));
    layout::remove_dir(&path).unwrap();
    layout::create_dir(&path).unwrap();
    path
}

fn image(cache: &Path, content: &str) -> ImageArchive {
    image_named(cache, "localhost/sample:1", content)
}

fn image_named(cache: &Path, name: &str, content: &str) -> ImageArchive {
    let program = cache.join("program");
    layout::write(&program, content).unwrap();
    let entries = vec![(
        "usr/bin/program".to_owned(),
        Entry::File {
            from: program,
            executable: true,
        },
    )];
    assemble(cache, name, &json!({"User": USER}), None, &entries).unwrap()
}

#[test]
fn the_same_content_is_the_same_image_and_other_content_another() {
    let cache = directory("same");
    let first = image(&cache, "one");
    assert_eq!(first, image(&cache, "one"));
    assert_ne!(first.digest, image(&cache, "two").digest);
    layout::remove_dir(&cache).unwrap();
}

#[test]
fn the_cache_keeps_the_latest_few_of_an_image_whatever_their_tags() {
    let cache = directory("few");
    let paths: Vec<_> = (0..KEPT + 2)
        .map(|number| {
            image_named(
                &cache,
                &format!("localhost/sample:{number}"),
                &number.to_string(),
            )
            .path
        })
        .collect();
    assert_eq!(paths.iter().filter(|path| path.exists()).count(), KEPT);
    assert!(paths[KEPT + 1].exists());
    layout::remove_dir(&cache).unwrap();
}

#[test]
fn a_missing_program_is_named() {
    let spec = ImageSpec {
        name: "x:1".into(),
        binary: "/no/such/program".into(),
        extra_files: vec![],
        entrypoint: vec![],
        env: vec![],
    };
    assert!(
        build(&spec)
            .unwrap_err()
            .to_string()
            .contains("/no/such/program")
    );
}

#[test]
fn a_relative_place_in_the_image_is_refused() {
    let here = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
    let spec = ImageSpec {
        name: "x:1".into(),
        binary: here.clone(),
        extra_files: vec![(here, "etc/x".into())],
        entrypoint: vec![],
        env: vec![],
    };
    assert!(matches!(build(&spec), Err(Error::Image { .. })));
}
