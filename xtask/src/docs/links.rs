//! Links in Markdown.
use std::path::{Path, PathBuf};

use crate::{error::Result, workspace};

/// Links in the documents (paths relative to the root) that lead nowhere. Those to other sites are not followed.
pub fn broken(root: &Path, documents: &[PathBuf]) -> Result<Vec<String>> {
    let mut broken = Vec::new();
    for document in documents {
        let text = workspace::read(&root.join(document))?;
        for target in targets(&text) {
            if target.contains("://") || target.starts_with("mailto:") {
                continue;
            }
            let (path, heading) = target
                .split_once('#')
                .map_or((target.as_str(), None), |(path, heading)| {
                    (path, Some(heading))
                });
            let file = if path.is_empty() {
                root.join(document)
            } else {
                root.join(document).parent().unwrap_or(root).join(path)
            };
            if !file.exists() {
                broken.push(format!("{}: {target} leads to no file", document.display()));
            } else if let Some(heading) = heading
                && !headings(&workspace::read(&file)?)
                    .iter()
                    .any(|known| known == heading)
            {
                broken.push(format!(
                    "{}: {target} leads to no heading",
                    document.display()
                ));
            }
        }
    }
    Ok(broken)
}

/// What the links and pictures of a text point to, code aside.
fn targets(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for line in prose(text) {
        let plain: String = line.split('`').step_by(2).collect::<Vec<_>>().join("`");
        let mut rest = plain.as_str();
        while let Some((_, after)) = rest.split_once("](") {
            let Some((target, tail)) = after.split_once(')') else {
                break;
            };
            // [text](target "title")
            found.extend(target.split_whitespace().next().map(str::to_owned));
            rest = tail;
        }
        for attribute in ["src=\"", "srcset=\"", "href=\""] {
            found.extend(
                line.split(attribute)
                    .skip(1)
                    .filter_map(|after| after.split('"').next())
                    .map(str::to_owned),
            );
        }
    }
    found
}

/// The anchors that a text's headings get.
fn headings(text: &str) -> Vec<String> {
    prose(text)
        .filter(|line| line.starts_with('#'))
        .map(|line| {
            let title = line.trim_start_matches('#').trim().to_lowercase();
            title
                .chars()
                .filter(|c| c.is_alphanumeric() || [' ', '-', '_'].contains(c))
                .map(|c| if c == ' ' { '-' } else { c })
                .collect()
        })
        .collect()
}

fn prose(text: &str) -> impl Iterator<Item = &str> {
    let mut code = false;
    text.lines().filter(move |line| {
        let fence = line.trim_start().starts_with("```");
        code ^= fence;
        !code && !fence
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_and_pictures_are_found_and_code_is_not() {
        let text = "See [a](docs/a.md) and [b](b.md#top \"B\").\n<img src=\"p.svg\">\n`[no](code.md)`\n```\n[no](block.md)\n```\n";
        assert_eq!(targets(text), ["docs/a.md", "b.md#top", "p.svg"]);
    }

    #[test]
    fn a_heading_has_the_anchor_that_readers_link_to() {
        assert_eq!(
            headings("# Quick start: two commands\n```\n# no\n```\n## `serin run`"),
            ["quick-start-two-commands", "serin-run"]
        );
    }
}
