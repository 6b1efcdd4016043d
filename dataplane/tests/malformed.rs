//! A hundred requests that no server should take: each gets the status and code that the protocol
//! settles, none a 5xx, and the connection goes on wherever HTTP allows it.

mod harness;

use harness::{Client, assert_no_defect, limited, options, start};

/// Bodies that are no acceptable JSON, or no request by its members: body, status, code.
const BODIES: &[(&str, u16, &str)] = &[
    ("", 400, "malformed_json"),
    (" ", 400, "malformed_json"),
    ("{", 400, "malformed_json"),
    ("{}}", 400, "malformed_json"),
    ("{} {}", 400, "malformed_json"),
    ("+5", 400, "malformed_json"),
    ("{'inputs':[]}", 400, "malformed_json"),
    ("{\"inputs\":[],}", 400, "malformed_json"),
    ("{\"inputs\":[}", 400, "malformed_json"),
    ("{\"inputs\" []}", 400, "malformed_json"),
    ("{inputs:[]}", 400, "malformed_json"),
    ("{\"inputs\":[]} // done", 400, "malformed_json"),
    ("\u{feff}{\"inputs\":[]}", 400, "malformed_json"),
    ("{\"id\":\"\u{1}\",\"inputs\":[]}", 400, "malformed_json"),
    ("{\"id\":\"\\ud800\",\"inputs\":[]}", 400, "malformed_json"),
    ("{\"id\":\"\\x\",\"inputs\":[]}", 400, "malformed_json"),
    ("{\"id\":\"\\u12\",\"inputs\":[]}", 400, "malformed_json"),
    ("{\"\\udc00\":1,\"inputs\":[]}", 400, "malformed_json"),
    ("{\"other\":01,\"inputs\":[]}", 400, "malformed_json"),
    ("{\"other\":NaN,\"inputs\":[]}", 400, "malformed_json"),
    ("null", 400, "invalid_type"),
    ("[]", 400, "invalid_type"),
    ("\"inputs\"", 400, "invalid_type"),
    ("5", 400, "invalid_type"),
    ("{}", 400, "missing_field"),
    ("{\"id\":\"a\"}", 400, "missing_field"),
    ("{\"inputs\":null}", 400, "invalid_type"),
    ("{\"inputs\":{}}", 400, "invalid_type"),
    ("{\"inputs\":[5]}", 400, "invalid_type"),
    ("{\"inputs\":[null]}", 400, "invalid_type"),
    ("{\"inputs\":[],\"inputs\":[]}", 400, "duplicate_field"),
    (
        "{\"id\":\"a\",\"id\":\"b\",\"inputs\":[]}",
        400,
        "duplicate_field",
    ),
    (
        "{\"\\u0069d\":\"a\",\"id\":\"b\",\"inputs\":[]}",
        400,
        "duplicate_field",
    ),
    ("{\"id\":5,\"inputs\":[]}", 400, "invalid_type"),
    ("{\"inputs\":[],\"outputs\":{}}", 400, "invalid_type"),
    ("{\"inputs\":[],\"outputs\":[{}]}", 400, "missing_field"),
    ("{\"inputs\":[],\"outputs\":[\"y\"]}", 400, "invalid_type"),
    (
        "{\"inputs\":[],\"outputs\":[{\"name\":\"y\",\"name\":\"y\"}]}",
        400,
        "duplicate_field",
    ),
    (
        "{\"inputs\":[],\"outputs\":[{\"name\":\"y\"}]}",
        400,
        "unknown_output",
    ),
    (
        "{\"inputs\":[],\"outputs\":[{\"name\":\"y\",\"parameters\":{\"binary_data\":1}}]}",
        400,
        "invalid_parameter",
    ),
    (
        "{\"inputs\":[],\"outputs\":[{\"name\":\"y\",\"parameters\":{\"classification\":0}}]}",
        400,
        "invalid_parameter",
    ),
    (
        "{\"inputs\":[],\"outputs\":[{\"name\":\"y\",\"parameters\":{\"classification\":-1}}]}",
        400,
        "invalid_parameter",
    ),
    (
        "{\"inputs\":[],\"outputs\":[{\"name\":\"y\",\"parameters\":{\"classification\":1001}}]}",
        400,
        "invalid_parameter",
    ),
    (
        "{\"inputs\":[],\"outputs\":[{\"name\":\"y\",\"parameters\":{\"classification\":1.5}}]}",
        400,
        "invalid_parameter",
    ),
    (
        "{\"inputs\":[],\"outputs\":[{\"name\":\"y\",\"parameters\":{\"classification\":\"2\"}}]}",
        400,
        "invalid_parameter",
    ),
    (
        "{\"inputs\":[],\"outputs\":[{\"name\":\"y\",\"parameters\":{\"classification\":[2]}}]}",
        400,
        "invalid_parameter",
    ),
    ("{\"inputs\":[],\"parameters\":[]}", 400, "invalid_type"),
    (
        "{\"inputs\":[],\"parameters\":{\"timeout\":-1}}",
        400,
        "invalid_parameter",
    ),
    (
        "{\"inputs\":[],\"parameters\":{\"timeout\":\"1s\"}}",
        400,
        "invalid_parameter",
    ),
    (
        "{\"inputs\":[],\"parameters\":{\"timeout\":1.5}}",
        400,
        "invalid_parameter",
    ),
    (
        "{\"inputs\":[],\"parameters\":{\"priority\":true}}",
        400,
        "invalid_parameter",
    ),
    (
        "{\"inputs\":[],\"parameters\":{\"binary_data_output\":\"yes\"}}",
        400,
        "invalid_parameter",
    ),
    (
        "{\"inputs\":[],\"parameters\":{\"triton_x\":1}}",
        400,
        "unsupported_parameter",
    ),
    (
        "{\"inputs\":[],\"parameters\":{\"sequence_id\":7}}",
        501,
        "not_implemented",
    ),
    (
        "{\"inputs\":[],\"parameters\":{\"sequence_start\":true}}",
        501,
        "not_implemented",
    ),
];

/// Inputs: members of the one input, status, code.
const INPUTS: &[(&str, u16, &str)] = &[
    (
        r#""shape":[1],"datatype":"INT8","data":[1]"#,
        400,
        "missing_field",
    ),
    (
        r#""name":"x","datatype":"INT8","data":[1]"#,
        400,
        "missing_field",
    ),
    (r#""name":"x","shape":[1],"data":[1]"#, 400, "missing_field"),
    (
        r#""name":"x","shape":[1],"datatype":"INT8""#,
        400,
        "missing_field",
    ),
    (
        r#""name":5,"shape":[1],"datatype":"INT8","data":[1]"#,
        400,
        "invalid_type",
    ),
    (
        r#""name":"x","name":"x","shape":[1],"datatype":"INT8","data":[1]"#,
        400,
        "duplicate_field",
    ),
    (
        r#""name":"x","shape":[1],"shape":[1],"datatype":"INT8","data":[1]"#,
        400,
        "duplicate_field",
    ),
    (
        r#""name":"x","shape":[1],"datatype":"INT8","data":[1],"data":[1]"#,
        400,
        "duplicate_field",
    ),
    (
        r#""name":"x","shape":1,"datatype":"INT8","data":[1]"#,
        400,
        "invalid_type",
    ),
    (
        r#""name":"x","shape":[-1],"datatype":"INT8","data":[1]"#,
        400,
        "invalid_shape",
    ),
    (
        r#""name":"x","shape":[1.0],"datatype":"INT8","data":[1]"#,
        400,
        "invalid_shape",
    ),
    (
        r#""name":"x","shape":["1"],"datatype":"INT8","data":[1]"#,
        400,
        "invalid_shape",
    ),
    (
        r#""name":"x","shape":[[1]],"datatype":"INT8","data":[1]"#,
        400,
        "invalid_shape",
    ),
    (
        r#""name":"x","shape":[99999999999999999999],"datatype":"INT8","data":[1]"#,
        400,
        "invalid_shape",
    ),
    (
        r#""name":"x","shape":[9223372036854775807,9],"datatype":"INT8","data":[1]"#,
        400,
        "invalid_shape",
    ),
    (
        r#""name":"x","shape":[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1],"datatype":"INT8","data":[1]"#,
        400,
        "too_many_dimensions",
    ),
    (
        r#""name":"x","shape":[1],"datatype":"STRING","data":["a"]"#,
        400,
        "unknown_datatype",
    ),
    (
        r#""name":"x","shape":[1],"datatype":"INT4","data":[1]"#,
        400,
        "unknown_datatype",
    ),
    (
        r#""name":"x","shape":[1],"datatype":null,"data":[1]"#,
        400,
        "invalid_type",
    ),
    (
        r#""name":"x","shape":[4],"datatype":"FP32","data":[1,2,3]"#,
        400,
        "shape_mismatch",
    ),
    (
        r#""name":"x","shape":[2],"datatype":"FP32","data":[1,2,3]"#,
        400,
        "shape_mismatch",
    ),
    (
        r#""name":"x","shape":[0],"datatype":"FP32","data":[1]"#,
        400,
        "shape_mismatch",
    ),
    (
        r#""name":"x","shape":[3],"datatype":"BOOL","data":[true]"#,
        400,
        "shape_mismatch",
    ),
    (
        r#""name":"x","shape":[4611686018427387904],"datatype":"FP64","data":[1]"#,
        400,
        "shape_mismatch",
    ),
    (
        r#""name":"x","shape":[2,2],"datatype":"FP32","data":[[1,2],[3]]"#,
        400,
        "ragged_data",
    ),
    (
        r#""name":"x","shape":[2,2],"datatype":"FP32","data":[[1,2],3,4]"#,
        400,
        "ragged_data",
    ),
    (
        r#""name":"x","shape":[1],"datatype":"FP32","data":{"0":1}"#,
        400,
        "invalid_value",
    ),
    (
        r#""name":"x","shape":[1],"datatype":"FP32","data":null"#,
        400,
        "invalid_value",
    ),
    (
        r#""name":"x","shape":[1],"datatype":"FP32","data":[NaN]"#,
        400,
        "malformed_json",
    ),
    (
        r#""name":"x","shape":[1],"datatype":"FP32","data":[null]"#,
        400,
        "invalid_value",
    ),
    (
        r#""name":"x","shape":[1],"datatype":"FP32","data":["1.0"]"#,
        400,
        "invalid_value",
    ),
    (
        r#""name":"x","shape":[1],"datatype":"FP32","data":[1e39]"#,
        400,
        "invalid_value",
    ),
    (
        r#""name":"x","shape":[1],"datatype":"FP64","data":[1e999]"#,
        400,
        "invalid_value",
    ),
    (
        r#""name":"x","shape":[1],"datatype":"FP16","data":[70000]"#,
        400,
        "invalid_value",
    ),
    (
        r#""name":"x","shape":[1],"datatype":"INT8","data":[300]"#,
        400,
        "invalid_value",
    ),
    (
        r#""name":"x","shape":[1],"datatype":"UINT8","data":[-1]"#,
        400,
        "invalid_value",
    ),
    (
        r#""name":"x","shape":[1],"datatype":"INT32","data":[1.5]"#,
        400,
        "invalid_value",
    ),
    (
        r#""name":"x","shape":[1],"datatype":"INT64","data":[9223372036854775808]"#,
        400,
        "invalid_value",
    ),
    (
        r#""name":"x","shape":[1],"datatype":"UINT64","data":[18446744073709551616]"#,
        400,
        "invalid_value",
    ),
    (
        r#""name":"x","shape":[1],"datatype":"INT32","data":[true]"#,
        400,
        "invalid_value",
    ),
    (
        r#""name":"x","shape":[1],"datatype":"BOOL","data":[1.0]"#,
        400,
        "invalid_value",
    ),
    (
        r#""name":"x","shape":[1],"datatype":"BOOL","data":[2]"#,
        400,
        "invalid_value",
    ),
    (
        r#""name":"x","shape":[1],"datatype":"BYTES","data":[5]"#,
        400,
        "invalid_value",
    ),
    (
        r#""name":"x","shape":[1],"datatype":"BYTES","parameters":{"content_type":"base64"},"data":["%"]"#,
        400,
        "invalid_value",
    ),
    (
        r#""name":"x","shape":[1],"datatype":"BYTES","data":["\ud800"]"#,
        400,
        "malformed_json",
    ),
    (
        r#""name":"x","shape":[1],"datatype":"INT8","parameters":5,"data":[1]"#,
        400,
        "invalid_type",
    ),
    (
        r#""name":"x","shape":[1],"datatype":"INT8","parameters":{"binary_data_size":1}"#,
        400,
        "size_mismatch",
    ),
    (
        r#""name":"x","shape":[1],"datatype":"INT8","parameters":{"binary_data_size":-1}"#,
        400,
        "invalid_parameter",
    ),
    (
        r#""name":"x","shape":[1],"datatype":"INT8","parameters":{"binary_data_size":0},"data":[1]"#,
        400,
        "conflicting_data",
    ),
    (
        r#""name":"x","shape":[1],"datatype":"INT8","parameters":{"shared_memory_region":"r"}"#,
        501,
        "not_implemented",
    ),
];

async fn assert_refused(client: &mut Client, body: &[u8], status: u16, code: &str) {
    let shown = String::from_utf8_lossy(&body[..body.len().min(200)]).into_owned();
    let answer = client.post("/v2/models/echo/infer", body).await;
    assert_eq!(answer.status, status, "{shown}: {answer:?}");
    assert_eq!(
        answer.header("content-type"),
        Some("application/json"),
        "{shown}"
    );
    let json = answer.json();
    assert_eq!(json["code"], code, "{shown}: {answer:?}");
    assert!(
        json["error"].is_string() && json["request_id"].is_string(),
        "{shown}: {answer:?}"
    );
    assert!(!answer.closes(), "{shown}");
    let live = client.get("/v2/health/live").await;
    assert_eq!(live.status, 200, "after {shown}");
}

#[tokio::test]
async fn a_hundred_malformed_bodies_are_refused_on_one_connection() {
    let server = start(&options()).await;
    let mut client = server.client().await;
    assert!(BODIES.len() + INPUTS.len() >= 100);
    for (body, status, code) in BODIES {
        assert_refused(&mut client, body.as_bytes(), *status, code).await;
    }
    for (members, status, code) in INPUTS {
        let body = format!("{{\"inputs\":[{{{members}}}]}}");
        assert_refused(&mut client, body.as_bytes(), *status, code).await;
    }
    assert_no_defect(&mut client).await;
}

#[tokio::test]
async fn what_is_too_deep_too_many_or_not_utf8_is_refused() {
    let server = limited(|limits| {
        limits.element_bytes = 1000;
    })
    .await;
    let mut client = server.client().await;
    let deep = |levels: usize| {
        format!(
            "{{\"other\":{}{},\"inputs\":[]}}",
            "[".repeat(levels),
            "]".repeat(levels)
        )
    };
    assert_refused(&mut client, deep(100).as_bytes(), 400, "too_deep").await;
    assert_refused(&mut client, deep(200_000).as_bytes(), 400, "too_deep").await;
    assert_eq!(
        client.post("/v2/models/echo/infer", deep(99)).await.status,
        200
    );

    let input = r#"{"name":"x","shape":[1],"datatype":"INT8","data":[1]}"#;
    let many = format!("{{\"inputs\":[{}]}}", vec![input; 257].join(","));
    assert_refused(&mut client, many.as_bytes(), 400, "too_many_tensors").await;
    let output = r#"{"name":"x"}"#;
    let many = format!(
        "{{\"inputs\":[],\"outputs\":[{}]}}",
        vec![output; 257].join(",")
    );
    assert_refused(&mut client, many.as_bytes(), 400, "too_many_tensors").await;

    let large = harness::body("BYTES", "[1]", &format!("[\"{}\"]", "a".repeat(1001)));
    assert_refused(&mut client, large.as_bytes(), 400, "element_too_large").await;
    assert_refused(
        &mut client,
        b"{\"id\":\"\xff\",\"inputs\":[]}",
        400,
        "malformed_json",
    )
    .await;
    assert_refused(&mut client, b"\x80", 400, "malformed_json").await;
    assert_no_defect(&mut client).await;
}

#[tokio::test]
async fn codings_that_are_not_understood_are_415_and_name_what_is() {
    let server = start(&options()).await;
    let mut client = server.client().await;
    for coding in ["br", "zstd", "gzip, br", "x-unknown"] {
        let header = format!("Content-Encoding: {coding}\r\n");
        let answer = client
            .request("POST", "/v2/models/echo/infer", &header, "{}")
            .await;
        assert_eq!(answer.status, 415, "{coding}");
        assert_eq!(answer.json()["code"], "unsupported_encoding");
        assert!(
            answer
                .header("accept-encoding")
                .is_some_and(|codings| codings.contains("identity"))
        );
    }
}
