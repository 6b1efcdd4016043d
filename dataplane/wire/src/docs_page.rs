//! HTML pages for people: a model's inputs and outputs, and a form to try it.
//!
//! A page refers to no other resource, so that it works without internet access and behind a gateway
//! that adds a prefix to paths. Names come from model files and are arbitrary text: they are escaped,
//! and the content policy allows only the script and style of this binary.

use std::fmt::Write as _;
use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::example;
use super::path::segment;
use serin_core::types::{ModelDescription, ModelState, TensorSpec};

const STYLE: &str = include_str!("docs_page/style.css");
const SCRIPT: &str = include_str!("docs_page/script.js");

/// Elements of an input above which the page's script makes the example instead of the server.
const MAX_ELEMENTS: usize = 1024;

/// The `Content-Security-Policy` of every page; script and style are allowed by hash.
pub static POLICY: LazyLock<String> = LazyLock::new(|| {
    let hash = |text: &str| STANDARD.encode(Sha256::digest(text));
    format!(
        "default-src 'none'; script-src 'sha256-{}'; style-src 'sha256-{}'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        hash(SCRIPT),
        hash(STYLE)
    )
});

/// The page that lists the models; `root` leads from it to the server's `/`.
pub fn index(models: &[ModelState], root: &str) -> String {
    let mut main = String::from(
        "<h1>Models</h1>\n<div class=\"scroll\"><table><thead><tr><th scope=\"col\">Model</th><th scope=\"col\">Version</th><th scope=\"col\">State</th><th scope=\"col\">More</th></tr></thead><tbody>\n",
    );
    for (place, model) in models.iter().enumerate() {
        let first = models.iter().position(|other| other.name == model.name) == Some(place);
        let path = path_of(&model.name, (!first).then_some(model.version.as_str()));
        let (name, version) = (escaped(&model.name), escaped(&model.version));
        let row = if model.ready() {
            format!(
                "<th scope=\"row\"><a href=\"{root}docs/{path}\">{name}</a></th><td>{version}</td><td class=\"short\"><span class=\"ok\">ready</span></td><td><span class=\"more\"><a href=\"{root}v2/{path}\">metadata</a> <a href=\"{root}v2/{path}/docs/dataplane.json\">OpenAPI</a></span></td>"
            )
        } else {
            format!(
                "<th scope=\"row\">{name}</th><td>{version}</td><td class=\"short\"><span class=\"bad\">not ready</span></td><td><a href=\"{root}v2/health/ready\">why</a></td>"
            )
        };
        let _ = writeln!(main, "<tr>{row}</tr>");
    }
    main.push_str("</tbody></table></div>\n");
    if models.is_empty() {
        main.push_str("<p>None is configured.</p>\n");
    }
    let _ = write!(
        main,
        "<p>Everything else that this server answers: <a href=\"{root}openapi.json\">OpenAPI 3.1</a>, <a href=\"{root}metrics\">metrics</a>, <a href=\"{root}v2\">server metadata</a>.</p>"
    );
    page("Models", "", &main)
}

/// The page of one model; `versioned` if its path names the version. `root` leads to the server's `/`.
pub fn model(model: &ModelDescription, versioned: bool, root: &str) -> String {
    let signature = &model.signature;
    let path = path_of(&model.name, versioned.then_some(model.version.as_str()));
    let (name, version) = (escaped(&model.name), escaped(&model.version));
    let mut main = format!(
        "<h1>{name} <small>version {version}</small></h1>\n<p class=\"links\"><a href=\"{root}v2/{path}\">metadata</a> · <a href=\"{root}v2/{path}/docs/dataplane.json\">OpenAPI 3.1</a>"
    );
    let others = model.versions.iter().filter(|one| **one != model.version);
    for other in others {
        let href = path_of(&model.name, Some(other));
        let _ = write!(
            main,
            " · <a href=\"{root}docs/{href}\">version {}</a>",
            escaped(other)
        );
    }
    main.push_str("</p>\n<div class=\"pair\">");
    main.push_str(&tensors("Takes", &signature.inputs));
    main.push_str(&tensors("Gives", &signature.outputs));
    main.push_str("</div>\n");
    if !signature.unserved_outputs.is_empty() {
        let names: Vec<String> = signature
            .unserved_outputs
            .iter()
            .map(|name| escaped(name))
            .collect();
        let _ = writeln!(
            main,
            "<p>Not served, as the protocol has no name for their types: {}.</p>",
            names.join(", ")
        );
    }
    let example = example::request(signature, MAX_ELEMENTS);
    let text = example.map_or_else(String::new, |request| {
        // Structs of strings and numbers: serialising them cannot fail.
        serde_json::to_string(&request).unwrap_or_default()
    });
    main.push_str(&include_str!("docs_page/try.html").replace("{{EXAMPLE}}", &escaped(&text)));
    let facts = json!({
        "name": model.name,
        "version": versioned.then_some(&model.version),
        "path": format!("{root}v2/{path}/infer"),
        "inputs": signature.inputs.iter().filter(|input| !input.optional).map(|input| json!({
            "name": input.name,
            "shape": example::shape(input),
            "datatype": input.datatype.as_str(),
            "element": example::element(input.datatype),
        })).collect::<Vec<_>>(),
        "outputs": signature.outputs.iter().map(|output| &output.name).collect::<Vec<_>>(),
    });
    // A block of data ends at the first `</`, whatever quotes stand around it.
    let facts = facts.to_string().replace('<', "\\u003c");
    let _ = write!(
        main,
        "<script type=\"application/json\" id=\"facts\">{facts}</script>\n<script>{SCRIPT}</script>"
    );
    let up = format!("<a href=\"{root}docs\">All models</a>");
    page(&format!("{name} {version}"), &up, &main)
}

fn path_of(name: &str, version: Option<&str>) -> String {
    let name = segment(name);
    match version {
        Some(version) => format!("models/{name}/versions/{}", segment(version)),
        None => format!("models/{name}"),
    }
}

fn tensors(caption: &str, specs: &[TensorSpec]) -> String {
    let mut table = format!(
        "<div class=\"scroll\"><table><caption>{caption}</caption><thead><tr><th scope=\"col\">Name</th><th scope=\"col\">Datatype</th><th scope=\"col\">Shape</th></tr></thead><tbody>"
    );
    for spec in specs {
        let shape = match &spec.shape {
            None => "any".to_owned(),
            Some(_) => format!("{:?}", spec.shape_for_metadata()),
        };
        let optional = if spec.optional { " (optional)" } else { "" };
        let _ = write!(
            table,
            "<tr><th scope=\"row\">{}{optional}</th><td class=\"short\">{}</td><td><code>{shape}</code></td></tr>",
            escaped(&spec.name),
            spec.datatype
        );
    }
    if specs.is_empty() {
        table.push_str("<tr><td colspan=\"3\">nothing</td></tr>");
    }
    table.push_str("</tbody></table></div>");
    table
}

/// `title` is HTML already, as is `main`.
fn page(title: &str, up: &str, main: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"><meta name=\"color-scheme\" content=\"light dark\"><title>{title} · Serin</title>\n<style>{STYLE}</style></head>\n<body><header><strong>Serin</strong><nav aria-label=\"Pages\">{up}</nav></header>\n<main>\n{main}\n</main></body></html>\n"
    )
}

/// Any text for HTML, in elements and in quoted attributes.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests;
