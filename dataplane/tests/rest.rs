//! The Open Inference Protocol over a real socket.

mod harness;

use harness::{Answer, body, options, start};

/// An error answer as every path gives one.
fn assert_refused(answer: &Answer, status: u16, code: &str) {
    assert_eq!(answer.status, status, "{answer:?}");
    assert_eq!(
        answer.header("content-type"),
        Some("application/json"),
        "{answer:?}"
    );
    let json = answer.json();
    assert_eq!(json["code"], code, "{answer:?}");
    assert!(
        json["error"].as_str().is_some_and(|text| !text.is_empty()),
        "{answer:?}"
    );
    assert_eq!(
        json["request_id"].as_str(),
        answer.header("x-request-id"),
        "{answer:?}"
    );
}

#[tokio::test]
async fn an_inference_answers_with_the_protocols_members_in_json() {
    let server = start(&options()).await;
    let mut client = server.client().await;
    let text = r#"{"id":"abc","inputs":[{"name":"x","shape":[2,2],"datatype":"fp32","data":[[1,2],[3,4.5]]}]}"#;
    let answer = client.post("/v2/models/echo/infer", text).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert!(answer.header("inference-header-content-length").is_none());
    assert_eq!(
        answer.text(),
        r#"{"model_name":"echo","model_version":"1","id":"abc","outputs":[{"name":"x","shape":[2,2],"datatype":"FP32","data":[1.0,2.0,3.0,4.5]}]}"#
    );
    // Without an id, the request's own stands in its place.
    let headers = "x-request-id: job-7\r\n";
    let answer = client
        .request(
            "POST",
            "/v2/models/echo/infer",
            headers,
            body("INT8", "[1]", "[1]"),
        )
        .await;
    assert_eq!(answer.json()["id"], "job-7");
    assert_eq!(answer.header("x-request-id"), Some("job-7"));
    for text in [r#"{"id":null,"inputs":[]}"#, r#"{"id":"","inputs":[]}"#] {
        let answer = client.post("/v2/models/echo/infer", text).await;
        assert_eq!(answer.json()["id"].as_str(), answer.header("x-request-id"));
    }
}

#[tokio::test]
async fn binary_tensors_go_in_and_out() {
    let server = start(&options()).await;
    let mut client = server.client().await;
    let json = r#"{"inputs":[{"name":"X","shape":[2,2],"datatype":"FP32","parameters":{"binary_data_size":16}}],"parameters":{"binary_data_output":true}}"#;
    let data = [0, 0, 0x80, 0x3f].repeat(4);
    let request = [json.as_bytes(), &data].concat();
    let headers = "Inference-Header-Content-Length: 135\r\n";
    let answer = client
        .request("POST", "/v2/models/echo/infer", headers, &request)
        .await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(
        answer.header("content-type"),
        Some("application/octet-stream")
    );
    let length: usize = answer
        .header("inference-header-content-length")
        .unwrap()
        .parse()
        .unwrap();
    let head: serde_json::Value = serde_json::from_slice(&answer.body[..length]).unwrap();
    assert_eq!(head["outputs"][0]["parameters"]["binary_data_size"], 16);
    assert_eq!(&answer.body[length..], data);

    // Golden vector 5: no JSON at all.
    let headers = "Inference-Header-Content-Length: 0\r\n";
    let row = [0, 0, 0x80, 0x3f, 0, 0, 0, 0x40];
    let answer = client
        .request("POST", "/v2/models/raw/infer", headers, row)
        .await;
    let length: usize = answer
        .header("inference-header-content-length")
        .unwrap()
        .parse()
        .unwrap();
    let head: serde_json::Value = serde_json::from_slice(&answer.body[..length]).unwrap();
    assert_eq!(head["outputs"][0]["shape"], serde_json::json!([1, 2]));
    assert_eq!(&answer.body[length..], row);

    let answer = client
        .request(
            "POST",
            "/v2/models/echo/infer",
            "Inference-Header-Content-Length: 999\r\n",
            row,
        )
        .await;
    assert_refused(&answer, 400, "invalid_header");
}

#[tokio::test]
async fn how_long_the_caller_waits_is_heeded_on_every_path() {
    let server = start(&options()).await;
    let mut client = server.client().await;
    let wait = "X-Request-Timeout: 2s\r\n";
    let pair = body("FP32", "[1,2]", "[1,2]");
    let answer = client
        .request("POST", "/v2/models/late/infer", wait, &pair)
        .await;
    let infer = answer.json()["outputs"][0]["data"][0].as_i64();
    let answer = client
        .request(
            "POST",
            "/v1/models/late:predict",
            wait,
            r#"{"instances":[[1,2]]}"#,
        )
        .await;
    let predict = answer.json()["predictions"][0].as_i64();
    for left in [infer, predict] {
        assert!(left.is_some_and(|left| left <= 2000), "{left:?}");
    }
    for (path, body) in [
        ("/v2/models/late/infer", pair.as_str()),
        ("/v1/models/late:predict", r#"{"instances":[[1,2]]}"#),
        ("/v1/embeddings", "{}"),
    ] {
        let wait = "X-Request-Timeout: soon\r\n";
        let answer = client.request("POST", path, wait, body).await;
        assert_eq!(answer.status, 400, "{path}");
        assert!(answer.text().contains("got 'soon'"), "{path}: {answer:?}");
    }
}

#[tokio::test]
async fn only_the_outputs_asked_for_come_in_the_order_asked_for() {
    let server = start(&options()).await;
    let mut client = server.client().await;
    let input =
        |name: &str| format!(r#"{{"name":"{name}","shape":[1],"datatype":"INT8","data":[1]}}"#);
    let request = format!(
        r#"{{"inputs":[{},{},{}],"outputs":[{{"name":"c"}},{{"name":"a","parameters":{{"binary_data":false}}}}]}}"#,
        input("a"),
        input("b"),
        input("c")
    );
    let json = client.post("/v2/models/echo/infer", request).await.json();
    let names: Vec<_> = json["outputs"]
        .as_array()
        .unwrap()
        .iter()
        .map(|output| output["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["c", "a"]);
}

#[tokio::test]
async fn every_small_document_has_its_form_with_and_without_a_slash_at_the_end() {
    let server = start(&options()).await;
    let mut client = server.client().await;
    for (path, expected) in [
        ("/v2/health/live", r#"{"live":true}"#.to_owned()),
        (
            "/v2/health/ready",
            r#"{"ready":true,"live":true}"#.to_owned(),
        ),
        ("/health", r#"{"live":true}"#.to_owned()),
        ("/healthz", r#"{"live":true}"#.to_owned()),
        ("/ping", r#"{"live":true}"#.to_owned()),
        ("/readyz", r#"{"ready":true,"live":true}"#.to_owned()),
        (
            "/v2",
            format!(
                r#"{{"name":"serin","version":"{}","extensions":["binary_tensor_data","classification","logging","model_configuration","parameters","schedule_policy","statistics"]}}"#,
                env!("CARGO_PKG_VERSION")
            ),
        ),
        (
            "/v2/models",
            r#"{"models":["echo","slow","panic","fails","late","busy","raw","team/model","parts"]}"#
                .to_owned(),
        ),
        (
            "/v2/models/echo/ready",
            r#"{"name":"echo","ready":true}"#.to_owned(),
        ),
        (
            "/v2/models/echo/versions/1/ready",
            r#"{"name":"echo","ready":true}"#.to_owned(),
        ),
        (
            "/v2/models/team%2Fmodel/ready",
            r#"{"name":"team/model","ready":true}"#.to_owned(),
        ),
    ] {
        for path in [path.to_owned(), format!("{path}/")] {
            let answer = client.get(&path).await;
            assert_eq!(
                (answer.status, answer.text()),
                (200, expected.as_str()),
                "{path}"
            );
            assert_eq!(
                answer.header("content-type"),
                Some("application/json"),
                "{path}"
            );
            assert!(answer.header("x-request-id").is_some(), "{path}");
        }
    }
    assert_eq!(
        client.get("/").await.text(),
        r#"{"live":true,"status":"alive"}"#
    );
    for path in ["/v2/models/echo", "/v2/models/echo/versions/1/"] {
        let json = client.get(path).await.json();
        assert_eq!(json["name"], "echo");
        assert_eq!(json["versions"], serde_json::json!(["1"]));
        assert_eq!(json["platform"], "onnxruntime_onnx");
        assert_eq!(
            json["inputs"],
            serde_json::json!([{"name":"x","datatype":"FP32","shape":[-1,2]}])
        );
    }
}

#[tokio::test]
async fn unknown_paths_models_and_versions_are_404_in_the_protocols_form() {
    let server = start(&options()).await;
    let mut client = server.client().await;
    for path in [
        "/nope",
        "/v2/nope",
        "/v2/models/echo/nope",
        "/v2//models",
        "/v2/models/",
        "/v2/models/a/b/c/d",
    ] {
        if path == "/v2/models/" {
            continue;
        }
        assert_refused(&client.get(path).await, 404, "not_found");
    }
    for path in [
        "/v2/models/nope",
        "/v2/models/nope/ready",
        "/v2/models/echo/versions/01",
        "/v2/models/echo/versions/2/ready",
    ] {
        assert_refused(&client.get(path).await, 404, "model_not_found");
    }
    let answer = client
        .post("/v2/models/nope/infer", body("INT8", "[1]", "[1]"))
        .await;
    assert_refused(&answer, 404, "model_not_found");
    for path in [
        "/v2/models/%zz",
        "/v2/models/%ff/ready",
        "/v2/models/a%2/infer",
    ] {
        let method = if path.ends_with("infer") {
            "POST"
        } else {
            "GET"
        };
        assert_refused(
            &client.request(method, path, "", "").await,
            400,
            "invalid_path",
        );
    }
    assert_refused(
        &client.get("/v2/models/loading").await,
        503,
        "model_not_ready",
    );
    let loading = client.get("/v2/models/loading/ready").await;
    assert_eq!(loading.status, 503);
    assert_eq!(
        loading.text(),
        r#"{"name":"loading","ready":false,"error":"model 'loading' is loading"}"#
    );
}

#[tokio::test]
async fn other_methods_are_405_with_allow_and_options_and_head_work() {
    let server = start(&options()).await;
    let mut client = server.client().await;
    for (method, path, allow) in [
        ("DELETE", "/v2/health/live", "GET,HEAD"),
        ("POST", "/v2/models/echo", "GET,HEAD"),
        ("GET", "/v2/models/echo/infer", "POST"),
        ("TRACE", "/v2/models/echo/infer", "POST"),
        ("PUT", "/metrics", "GET,HEAD"),
        ("BREW", "/v2", "GET,HEAD"),
    ] {
        let answer = client.request(method, path, "", "").await;
        assert_refused(&answer, 405, "method_not_allowed");
        assert_eq!(answer.header("allow"), Some(allow), "{method} {path}");
        let answer = client.request("OPTIONS", path, "", "").await;
        assert_eq!(
            (answer.status, answer.header("allow")),
            (204, Some(allow)),
            "{path}"
        );
    }
    assert_refused(
        &client.request("OPTIONS", "/nope", "", "").await,
        404,
        "not_found",
    );
    for path in ["/v2/health/live", "/v2/models/echo", "/nope", "/metrics"] {
        let full = client.get(path).await;
        let head = client.request("HEAD", path, "", "").await;
        assert_eq!(head.status, full.status, "{path}");
        assert_eq!(
            head.header("content-type"),
            full.header("content-type"),
            "{path}"
        );
        assert!(head.body.is_empty());
    }
}

#[tokio::test]
async fn a_fault_carries_its_retry_headers_and_can_be_had_as_a_problem() {
    let server = start(&options()).await;
    let mut client = server.client().await;
    let request = body("INT8", "[1]", "[1]");
    let answer = client.post("/v2/models/loading/infer", &request).await;
    assert_refused(&answer, 503, "model_not_ready");
    assert_eq!(answer.header("retry-after"), Some("1"));
    assert_eq!(answer.header("retry-after-ms"), Some("1000"));
    let answer = client.post("/v2/models/fails/infer", &request).await;
    assert_refused(&answer, 500, "inference_error");
    assert_eq!(answer.header("x-should-retry"), Some("false"));
    let accept = "Accept: application/problem+json, application/json\r\n";
    let answer = client
        .request("POST", "/v2/models/fails/infer", accept, &request)
        .await;
    assert_eq!(
        answer.header("content-type"),
        Some("application/problem+json")
    );
    let json = answer.json();
    assert_eq!(json["status"], 500);
    assert_eq!(json["error"], json["detail"]);
    assert_eq!(json["code"], "inference_error");
}

#[tokio::test]
async fn a_panic_is_a_500_and_the_connection_goes_on() {
    let server = start(&options()).await;
    let mut client = server.client().await;
    let answer = client
        .post("/v2/models/panic/infer", body("INT8", "[1]", "[1]"))
        .await;
    assert_refused(&answer, 500, "internal");
    assert!(!answer.text().contains("as asked"));
    assert_eq!(client.get("/v2/health/live").await.status, 200);
    let samples = client.get("/metrics").await.samples();
    assert_eq!(samples.get("serin_panics_total", &[]), Some(1.0));
    let failed = [("model", "panic"), ("outcome", "error"), ("code", "500")];
    assert_eq!(samples.sum("serin_requests_total", &failed), 1.0);
}

#[tokio::test]
async fn large_tensors_are_read_and_written_whole() {
    let server = start(&options()).await;
    let mut client = server.client().await;
    let values: Vec<f32> = (0..600_000u32).map(|index| index as f32 / 7.0).collect();
    let request = body(
        "FP32",
        &format!("[{}]", values.len()),
        &serde_json::to_string(&values).unwrap(),
    );
    assert!(request.len() > 1 << 20);
    let answer = client.post("/v2/models/echo/infer", request).await;
    assert_eq!(answer.status, 200);
    let back: Vec<f32> =
        serde_json::from_value(answer.json()["outputs"][0]["data"].clone()).unwrap();
    assert_eq!(back, values);
}

#[tokio::test]
async fn metrics_come_in_the_classic_format_on_both_ports() {
    let server = start(&options()).await;
    let mut client = server.client().await;
    for _ in 0..3 {
        assert_eq!(
            client
                .post("/v2/models/echo/infer", body("INT8", "[1]", "[1]"))
                .await
                .status,
            200
        );
    }
    client.post("/v2/models/evil%0Aname/infer", "{}").await;
    // At once, on either port: a request is counted before it is answered.
    let mut admin = server.admin().await;
    for client in [&mut client, &mut admin] {
        let answer = client.get("/metrics").await;
        assert_eq!(
            answer.header("content-type"),
            Some("text/plain; version=0.0.4; charset=utf-8")
        );
        let samples = answer.samples();
        let answered = [("model", "echo"), ("operation", "infer"), ("code", "200")];
        assert_eq!(samples.sum("serin_requests_total", &answered), 3.0);
        let unknown = [("model", "_unknown")];
        assert_eq!(samples.sum("serin_requests_total", &unknown), 1.0);
        assert!(!answer.text().contains("evil"));
    }
}

#[tokio::test]
async fn the_admin_port_says_why_a_pod_is_not_ready() {
    let server = start(&options()).await;
    let mut admin = server.admin().await;
    assert_eq!(admin.get("/livez").await.status, 200);
    assert_eq!(admin.get("/readyz").await.status, 200);
    let status = admin.get("/statusz").await.json();
    assert_eq!(status["phase"], "Ready");
    assert_eq!(status["message"], "");
    assert_eq!(status["models"][0]["name"], "echo");
    server
        .lifecycle
        .advance(serin_dataplane::runtime::lifecycle::Phase::Draining);
    assert_eq!(admin.get("/livez").await.status, 200);
    assert_eq!(admin.get("/readyz").await.status, 503);
    let status = admin.get("/statusz").await.json();
    assert_eq!(status["phase"], "Draining");
    assert_eq!(status["message"], "the server is stopping");
    assert_refused(&admin.get("/v2/models/echo").await, 404, "not_found");
}

#[tokio::test]
async fn an_unknown_grpc_method_is_told_by_grpcs_own_status() {
    let server = start(&options()).await;
    let mut client = server.client().await;
    let headers = "Content-Type: application/grpc\r\n";
    let answer = client.request("POST", "/no.Such/Method", headers, "").await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.header("grpc-status"), Some("12"));
    assert_eq!(answer.header("content-type"), Some("application/grpc"));
}
