use super::*;

fn read(name: &str) -> Result<GraphFile, GraphError> {
    let path = format!("{}/../tests/models/{name}.onnx", env!("CARGO_MANIFEST_DIR"));
    let bytes = std::fs::read(path).unwrap();
    let length = bytes.len() as u64;
    GraphFile::read(io::Cursor::new(bytes), length)
}

#[test]
fn rank_zero_and_no_shape_are_told_apart() {
    assert_eq!(
        read("scalar_input").unwrap().shape("X"),
        Some(&Some(Vec::new()))
    );
    assert_eq!(read("unknown_rank").unwrap().shape("X"), Some(&None));
    assert_eq!(read("linear").unwrap().shape("nobody"), None);
}

#[test]
fn a_file_that_is_no_model_is_named_for_what_it_is() {
    assert_eq!(
        read("not_onnx").unwrap_err().to_string(),
        "it is a text file"
    );
    let cut = read("truncated").unwrap_err().to_string();
    assert!(cut.contains("it was cut off"), "{cut}");
    for (bytes, kind) in [
        (&b""[..], "empty"),
        (b"<html>", "HTML"),
        (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS"),
        (b"\xff\xff\xff\xff", "do not read as an ONNX model"),
        (b"\x08\x07", "do not read as an ONNX model"),
        (b"\x08\x07\x3a\x09", "cut off"),
    ] {
        let error = GraphFile::read(io::Cursor::new(bytes), bytes.len() as u64).unwrap_err();
        assert!(error.to_string().contains(kind), "{error}");
    }
}

#[test]
fn no_prefix_of_a_model_makes_the_walk_fail_otherwise_than_cleanly() {
    let path = format!(
        "{}/../tests/models/two_inputs.onnx",
        env!("CARGO_MANIFEST_DIR")
    );
    let bytes = std::fs::read(path).unwrap();
    for end in 0..bytes.len() {
        let result = GraphFile::read(io::Cursor::new(&bytes[..end]), end as u64);
        assert!(
            matches!(result, Err(GraphError::NotOnnx(_)) | Ok(_)),
            "{end}: {result:?}"
        );
    }
}

/// A field of `content`: tag and length take one byte each up to 127 bytes.
fn block(number: u8, content: &[u8]) -> Vec<u8> {
    let mut length = content.len();
    let mut bytes = vec![number << 3 | 2];
    if number > 15 {
        bytes = vec![0x80 | (number & 0x0f) << 3 | 2, number >> 4];
    }
    while length >= 0x80 {
        bytes.push((length & 0x7f) as u8 | 0x80);
        length >>= 7;
    }
    bytes.push(length as u8);
    [&bytes[..], content].concat()
}

/// A model whose only content is `field` of the model beside an empty graph.
fn model(field: &[u8]) -> Result<GraphFile, GraphError> {
    let bytes = [&[0x08, 0x08][..], &block(7, b""), field].concat();
    let length = bytes.len() as u64;
    GraphFile::read(io::Cursor::new(bytes), length)
}

fn tensor_at(location: &[u8]) -> Vec<u8> {
    let entry = [block(1, b"location"), block(2, location)].concat();
    block(13, &entry)
}

#[test]
fn a_place_of_weights_is_found_wherever_a_tensor_may_stand() {
    let tensor = tensor_at(b"w.bin");
    let sparse = |number| block(number, &block(1, &tensor));
    let node = |attribute: &[u8]| block(1, &block(5, attribute));
    let inner = block(6, &block(5, &tensor));
    for (what, found) in [
        ("initializer", model(&block(7, &block(5, &tensor)))),
        ("sparse initializer", model(&block(7, &sparse(15)))),
        ("attribute", model(&block(7, &node(&block(5, &tensor))))),
        (
            "attribute list",
            model(&block(7, &node(&block(10, &tensor)))),
        ),
        ("sparse attribute", model(&block(7, &node(&sparse(22))))),
        ("subgraph", model(&block(7, &node(&inner)))),
        ("function", model(&block(25, &block(7, &block(5, &inner))))),
        ("function default", model(&block(25, &block(11, &inner)))),
        ("training", model(&block(20, &block(2, &block(5, &tensor))))),
    ] {
        let found = found.unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_eq!(
            found.external.iter().collect::<Vec<_>>(),
            ["w.bin"],
            "{what}"
        );
    }
}

#[test]
fn a_place_that_is_no_text_is_refused() {
    // Read leniently it would be checked under one name and opened under another.
    let graph = block(7, &block(5, &tensor_at(b"\xff")));
    assert!(matches!(model(&graph), Err(GraphError::NotOnnx(_))));
}

#[test]
fn graphs_nested_too_deep_and_names_without_bound_are_refused() {
    let mut graph = Vec::new();
    for _ in 0..40 {
        graph = block(1, &block(5, &block(6, &graph)));
    }
    assert!(model(&block(7, &graph)).is_err());

    let input = block(11, &block(1, &[b'x'; 60_000]));
    let error = model(&block(7, &input.repeat(200))).unwrap_err();
    assert!(error.to_string().contains("names and shapes"), "{error}");
}

#[test]
fn a_file_larger_than_protobuf_reads_is_refused_unread() {
    let error = GraphFile::read(io::Cursor::new(b"\x08\x08"), 3 << 30).unwrap_err();
    assert!(error.to_string().contains("external data"), "{error}");
}
