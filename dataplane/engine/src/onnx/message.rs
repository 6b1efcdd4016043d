//! What the runtime says, made fit for a reply: no paths, one line, bounded.

/// Longest message passed on, in bytes.
const LONGEST: usize = 600;

/// The runtime's message without paths of this machine or of the machine that built it. Names of
/// nodes, which may look like paths, stand in quotes and stay.
pub(super) fn clean(message: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    for word in message.split_whitespace() {
        let bare =
            word.trim_matches(|c: char| matches!(c, '(' | ')' | '[' | ']' | ',' | ';' | ':'));
        let quoted = word.contains('\'') || word.contains('"');
        if !quoted && is_path(bare) {
            continue;
        }
        kept.push(word);
    }
    let mut text = kept.join(" ");
    if text.len() > LONGEST {
        let mut end = LONGEST;
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
        text.push('…');
    }
    text
}

/// Whether a word is an absolute path of two parts or more, or a source position.
fn is_path(word: &str) -> bool {
    let absolute = word.starts_with('/') && word[1..].contains('/');
    let source = [".cc:", ".h:", ".cpp:"]
        .iter()
        .any(|suffix| word.contains(suffix));
    absolute || source
}

#[cfg(test)]
mod tests {
    use super::clean;

    #[test]
    fn paths_go_and_node_names_stay() {
        let said = "Load model from /srv/models/a.onnx failed:/onnxruntime_src/onnxruntime/core/graph/model.cc:182 \
                    Name:'/encoder/MatMul' Status Message: bad";
        assert_eq!(
            clean(said),
            "Load model from Name:'/encoder/MatMul' Status Message: bad"
        );
    }

    #[test]
    fn a_message_is_one_bounded_line() {
        let text = clean(&"é\n".repeat(2000));
        assert!(text.len() < 700 && !text.contains('\n'));
    }
}
