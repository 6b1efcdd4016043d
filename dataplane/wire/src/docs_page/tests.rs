use std::sync::Arc;

use super::*;
use serin_core::types::{Availability, Batching, Datatype, Dimension, Signature};

const HOSTILE: &str = "</textarea><img src=x onerror=alert(1)>";

fn described(name: &str, input: &str, extents: &[i64]) -> ModelDescription {
    let spec = |name: &str| TensorSpec {
        name: name.into(),
        datatype: Datatype::Fp32,
        shape: Some(extents.iter().copied().map(Dimension::Fixed).collect()),
        optional: false,
    };
    ModelDescription {
        name: name.into(),
        version: "1".into(),
        versions: vec!["1".into()],
        platform: "onnxruntime_onnx",
        signature: Arc::new(Signature {
            inputs: vec![spec(input)],
            outputs: vec![spec("</script><script>alert(2)</script>")],
            unserved_outputs: vec!["<b>".into()],
            producer: None,
        }),
        batching: Batching::off("made up"),
        embedding: None,
    }
}

#[test]
fn hostile_names_stay_text() {
    let name = "\"><script>alert(0)</script>'&/..";
    let page = model(&described(name, HOSTILE, &[1, 2]), true, "../../");
    assert_eq!(page.matches("<script").count(), 2);
    assert_eq!(page.matches("</script>").count(), 2);
    assert_eq!(page.matches("</textarea>").count(), 1);
    for tag in ["<img", "<b>", "<script>alert"] {
        assert!(!page.contains(tag), "{tag}");
    }
    let path = "models/%22%3E%3Cscript%3Ealert%280%29%3C%2Fscript%3E%27%26%2F../versions/1";
    assert!(page.contains(&format!("href=\"../../v2/{path}\"")));
    let state = ModelState {
        name: name.into(),
        version: "<i>".into(),
        availability: Availability::Ready,
        reason: None,
    };
    let page = index(&[state], "./");
    assert!(!page.contains("<script") && !page.contains("<i>"));
    assert!(page.contains("&quot;&gt;&lt;script&gt;alert(0)&lt;/script&gt;&#39;&amp;/.."));
}

#[test]
fn the_example_is_there_to_send_and_a_long_one_is_made_by_the_page() {
    let page = model(&described("m", "x", &[1, 2]), false, "../");
    assert!(page.contains(
        "&quot;shape&quot;:[1,2],&quot;datatype&quot;:&quot;FP32&quot;,&quot;data&quot;:[0.5,0.5]"
    ));
    assert!(page.contains("\"path\":\"../v2/models/m/infer\""));
    let page = model(&described("m", "x", &[3, 224, 224]), false, "../");
    assert!(page.contains("aria-describedby=\"hint\"></textarea>"));
    assert!(page.contains("\"shape\":[3,224,224]"));
}

#[test]
fn a_page_is_small_and_asks_for_nothing_else() {
    let page = model(&described("m", "x", &[1, 2]), false, "../");
    assert!(page.len() < 40_000, "{}", page.len());
    for reference in ["src=", "@import", "url(", "http://", "https://", "<link"] {
        assert!(!page.contains(reference), "{reference}");
    }
}

#[test]
fn the_policy_allows_this_script_and_this_style_alone() {
    let hash = |text: &str| STANDARD.encode(Sha256::digest(text));
    assert!(POLICY.contains(&format!("script-src 'sha256-{}';", hash(SCRIPT))));
    assert!(POLICY.contains(&format!("style-src 'sha256-{}';", hash(STYLE))));
    assert!(POLICY.starts_with("default-src 'none';"));
    assert!(!POLICY.contains("unsafe"));
    let page = model(&described("m", "x", &[1]), false, "../");
    assert!(page.contains(&format!("<script>{SCRIPT}</script>")));
    assert!(page.contains(&format!("<style>{STYLE}</style>")));
    assert!(!page.contains(" style=") && !page.contains(" onclick="));
}
