use super::*;

fn parse_bytes(body: &[u8]) -> Result<EmbeddingsRequest, Fault> {
    let (body, limits) = (Bytes::copy_from_slice(body), Limits::default());
    room::within(0, |_| Ok(()), |room| parse(&body, &limits, room))
}

fn parsed(body: &str) -> Result<EmbeddingsRequest, Fault> {
    parse_bytes(body.as_bytes())
}

fn input(input: &str) -> Result<(Vec<Piece>, bool), Fault> {
    let request = parsed(&format!(r#"{{"model": "m", "input": {input}}}"#))?;
    Ok((request.input, request.single))
}

#[test]
fn every_form_of_input_is_read() {
    let text = |text: &str| Piece::Text(text.to_owned());
    assert_eq!(input(r#""a""#).unwrap(), (vec![text("a")], true));
    let two = input(r#"["a", "b\u00e9"]"#).unwrap();
    assert_eq!(two, (vec![text("a"), text("bé")], false));
    let ids = input("[1, 2.0]").unwrap();
    assert_eq!(ids, (vec![Piece::Tokens(vec![1, 2])], true));
    let lists = input("[[1], [2, 3]]").unwrap();
    let expected = vec![Piece::Tokens(vec![1]), Piece::Tokens(vec![2, 3])];
    assert_eq!(lists, (expected, false));
}

#[test]
fn null_is_absent_and_unknown_members_are_passed_over() {
    let request = parsed(
        r#"{"model":"m","input":"a","encoding_format":null,"dimensions":null,"user":null,"foo":[{}]}"#,
    )
    .unwrap();
    assert_eq!((request.form, request.dimensions), (Form::Float, None));
    let request =
        parsed(r#"{"model":"m","input":"a","encoding_format":"base64","dimensions":8}"#).unwrap();
    assert_eq!((request.form, request.dimensions), (Form::Base64, Some(8)));
}

#[test]
fn the_model_is_found_before_the_rest_is_read() {
    let found = |body: &[u8]| model(body, &Limits::default());
    for body in [
        &br#"{"model":"m","input":"a"}"#[..],
        br#"{"input":[[1],"a",{"model":"x"}],"user":1,"model":"m"}"#,
        br#"{"model":"m","input":[1,"#,
        b"{\"model\":\"m\",\"input\":\"\xff\"}",
        br#" {"\u006dodel" : "m" nothing"#,
    ] {
        assert_eq!(found(body).unwrap().name, "m", "{}", body.escape_ascii());
    }
    for (body, code, param) in [
        (&br#"{"input":"a"}"#[..], "missing_field", Some("model")),
        (br#"{"model":null}"#, "missing_field", Some("model")),
        (br#"{"model":["m"]}"#, "invalid_type", Some("model")),
        (br#"["model"]"#, "invalid_type", None),
        (br#"{"input":}"#, "malformed_json", None),
        (br#"{"input":"a""#, "malformed_json", None),
        (
            b"{\"input\":\"\xff\",\"model\":\"m\"}",
            "malformed_json",
            None,
        ),
        (b"", "malformed_json", None),
    ] {
        let fault = found(body).unwrap_err();
        assert_eq!((fault.code, fault.param.as_deref()), (code, param));
        let whole = parse_bytes(body);
        assert_eq!(whole.unwrap_err().message, fault.message, "the same fault");
    }
    let deep = format!(r#"{{"input":{}"#, "[".repeat(200));
    assert_eq!(found(deep.as_bytes()).unwrap_err().code, "too_deep");
}

proptest::proptest! {
    #[test]
    fn the_model_is_the_one_that_the_whole_request_names(
        name: String, other in "[a-z]{1,8}", first: bool, text: String,
    ) {
        let name = serde_json::to_string(&name).unwrap();
        let text = serde_json::to_string(&format!("{text}.")).unwrap();
        let (a, b) = (format!(r#""model":{name}"#), format!(r#""{other}":0,"input":{text}"#));
        let body = if first { format!("{{{a},{b}}}") } else { format!("{{{b},{a}}}") };
        if let Ok(request) = parsed(&body) {
            let found = model(body.as_bytes(), &Limits::default()).unwrap();
            proptest::prop_assert_eq!(found.name, request.model);
        }
    }
}

#[test]
fn what_is_wrong_is_named() {
    let many = format!("[{}]", vec!["\"a\""; MAX_INPUTS + 1].join(","));
    for (body, code, param) in [
        (r#"{"input":"a"}"#, "missing_field", "model"),
        (r#"{"model":"m"}"#, "missing_field", "input"),
        (r#"{"model":"m","input":null}"#, "missing_field", "input"),
        (r#"{"model":1,"input":"a"}"#, "invalid_type", "model"),
        (r#"{"model":"m","input":{}}"#, "invalid_type", "input"),
        (
            r#"{"model":"m","input":["a",1]}"#,
            "invalid_type",
            "input[1]",
        ),
        (
            r#"{"model":"m","input":[1,"a"]}"#,
            "invalid_type",
            "input[1]",
        ),
        (
            r#"{"model":"m","input":[["a"]]}"#,
            "invalid_type",
            "input[0]",
        ),
        (r#"{"model":"m","input":[]}"#, "unsupported_value", "input"),
        (r#"{"model":"m","input":""}"#, "unsupported_value", "input"),
        (
            r#"{"model":"m","input":["a",""]}"#,
            "unsupported_value",
            "input[1]",
        ),
        (
            r#"{"model":"m","input":[[]]}"#,
            "unsupported_value",
            "input[0]",
        ),
        (
            r#"{"model":"m","input":[-1]}"#,
            "unsupported_value",
            "input[0]",
        ),
        (
            r#"{"model":"m","input":[1.5]}"#,
            "unsupported_value",
            "input[0]",
        ),
        (
            r#"{"model":"m","input":"a","dimensions":0}"#,
            "unsupported_value",
            "dimensions",
        ),
        (
            r#"{"model":"m","input":"a","dimensions":"1"}"#,
            "invalid_type",
            "dimensions",
        ),
        (
            r#"{"model":"m","input":"a","encoding_format":"int8"}"#,
            "unsupported_value",
            "encoding_format",
        ),
        (
            r#"{"model":"m","input":"a","user":1}"#,
            "invalid_type",
            "user",
        ),
        (
            r#"{"model":"m","model":"m","input":"a"}"#,
            "duplicate_field",
            "model",
        ),
        (
            &format!(r#"{{"model":"m","input":{many}}}"#),
            "unsupported_value",
            "input",
        ),
    ] {
        let fault = parsed(body).unwrap_err();
        assert_eq!(
            (fault.code, fault.param.as_deref()),
            (code, Some(param)),
            "{fault}"
        );
    }
    assert_eq!(parsed("[]").unwrap_err().code, "invalid_type");
    assert_eq!(parsed("{").unwrap_err().code, "malformed_json");
}

#[test]
fn vectors_are_written_as_numbers_or_as_base64_of_the_same() {
    let vectors = [vec![1.0, -0.5], vec![0.1]];
    let written = |form| String::from_utf8(render("m", &vectors, form, 9, 0).to_vec()).unwrap();
    assert_eq!(
        written(Form::Float),
        r#"{"object":"list","data":[{"object":"embedding","index":0,"embedding":[1.0,-0.5]},{"object":"embedding","index":1,"embedding":[0.1]}],"model":"m","usage":{"prompt_tokens":9,"total_tokens":9}}"#
    );
    assert!(written(Form::Base64).contains(r#""embedding":"AACAPwAAAL8="}"#));
}
