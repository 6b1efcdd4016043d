//! What the files beside a model say of its embeddings, in the layout of sentence-transformers.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::folder::Folder;
use super::pooling::Pooling;

/// Largest file of settings.
const LIMIT: u64 = 1 << 20;

/// What happens to a text before and to its hidden states after the model.
#[derive(Debug, PartialEq)]
pub(super) struct Settings {
    /// How states become a vector; `None` where the model does it itself.
    pub(super) pooling: Option<Pooling>,
    /// Vectors are scaled to length 1.
    pub(super) normalise: bool,
    /// The most tokens of a text, where a file says.
    pub(super) max_tokens: Option<usize>,
    /// Stands before every text.
    pub(super) prefix: String,
}

/// One entry of `modules.json`.
#[derive(Deserialize)]
struct Module {
    r#type: String,
    #[serde(default)]
    path: String,
}

#[derive(Default, Deserialize)]
struct Prompts {
    #[serde(default)]
    prompts: Map<String, Value>,
    #[serde(default)]
    default_prompt_name: Option<String>,
}

#[derive(Default, Deserialize)]
struct Transformer {
    #[serde(default)]
    max_seq_length: Option<usize>,
}

#[derive(Default, Deserialize)]
struct TokenizerConfig {
    /// Often 1e30, which means none.
    #[serde(default)]
    model_max_length: Option<f64>,
}

impl Settings {
    /// Reads the settings. `pools_itself`: the model's output is one vector for each text, so that
    /// nothing is left to do with it.
    ///
    /// # Errors
    /// Which file lacks or says what.
    pub(super) fn read(folder: &Folder, pools_itself: bool) -> Result<Self, String> {
        let (pooling, normalise) = if pools_itself {
            (None, false)
        } else {
            let chain = Chain::read(folder)?;
            let name = format!("{}/config.json", chain.pooling);
            let config: Map<String, Value> = document(folder, &name)?.ok_or_else(|| {
                format!(
                    "its output has a state for each token, and {name} (or {}), which says how to pool them, is missing",
                    name.replace('/', "_")
                )
            })?;
            (Some(pooling(&config, &name)?), chain.normalise)
        };
        let transformer: Transformer =
            document(folder, "sentence_bert_config.json")?.unwrap_or_default();
        let tokenizer: TokenizerConfig =
            document(folder, "tokenizer_config.json")?.unwrap_or_default();
        let said = tokenizer
            .model_max_length
            .filter(|length| (1.0..1e9).contains(length))
            .map(|length| length as usize);
        Ok(Self {
            pooling,
            normalise,
            max_tokens: transformer.max_seq_length.into_iter().chain(said).min(),
            prefix: prefix(folder)?,
        })
    }
}

/// What follows the model.
struct Chain {
    /// Folder of the pooling's configuration.
    pooling: String,
    normalise: bool,
}

impl Chain {
    /// By `modules.json`. Without that file: the usual folder, and vectors of length 1, as OpenAI's
    /// are.
    fn read(folder: &Folder) -> Result<Self, String> {
        let Some(modules) = document::<Vec<Module>>(folder, "modules.json")? else {
            return Ok(Self {
                pooling: "1_Pooling".to_owned(),
                normalise: true,
            });
        };
        let mut pooling = None;
        let mut normalise = false;
        for module in modules {
            match module.r#type.rsplit('.').next().unwrap_or_default() {
                "Transformer" | "Dropout" => {}
                "Pooling" => pooling = Some(module.path),
                "Normalize" => normalise = true,
                other => {
                    return Err(format!(
                        "modules.json lists a module '{other}', which is not supported: export the whole chain as one \
                         ONNX file with the output sentence_embedding"
                    ));
                }
            }
        }
        Ok(Self {
            pooling: pooling.ok_or("modules.json lists no Pooling")?,
            normalise,
        })
    }
}

fn pooling(config: &Map<String, Value>, name: &str) -> Result<Pooling, String> {
    const FLAG: &str = "pooling_mode_";
    let flags = config
        .iter()
        .filter(|(_, value)| **value == Value::Bool(true))
        .filter_map(|(key, _)| key.strip_prefix(FLAG));
    let named = config.get("pooling_mode").and_then(Value::as_str);
    let modes: Vec<&str> = flags.chain(named).collect();
    match modes.as_slice() {
        ["mean_tokens" | "mean"] => Ok(Pooling::Mean),
        ["cls_token" | "cls"] => Ok(Pooling::Cls),
        ["max_tokens" | "max"] => Ok(Pooling::Max),
        ["lasttoken"] => Ok(Pooling::LastToken),
        [] => Err(format!("{name} names no way of pooling")),
        other => Err(format!(
            "{name} asks for '{}'; mean_tokens, cls_token, lasttoken and max_tokens are supported, one of them",
            other.join("' and '")
        )),
    }
}

fn prefix(folder: &Folder) -> Result<String, String> {
    const NAME: &str = "config_sentence_transformers.json";
    let prompts: Prompts = document(folder, NAME)?.unwrap_or_default();
    let Some(name) = prompts.default_prompt_name else {
        return Ok(String::new());
    };
    match prompts.prompts.get(&name) {
        Some(Value::String(prompt)) => Ok(prompt.clone()),
        _ => Err(format!("{NAME} has no prompt '{name}', its default")),
    }
}

fn document<T: DeserializeOwned>(folder: &Folder, name: &str) -> Result<Option<T>, String> {
    let Some(bytes) = folder.read(name, LIMIT)? else {
        return Ok(None);
    };
    serde_json::from_slice(&bytes)
        .map(Some)
        .map_err(|error| format!("{name} cannot be read: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(files: &[(&str, &str)]) -> Result<Settings, String> {
        let root = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = root.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        Settings::read(&Folder::open(root.path()).unwrap(), false)
    }

    const MEAN: (&str, &str) = (
        "1_Pooling/config.json",
        r#"{"word_embedding_dimension": 384, "pooling_mode_cls_token": false, "pooling_mode_mean_tokens": true}"#,
    );

    #[test]
    fn the_usual_folder_is_understood() {
        let modules = r#"[
            {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
            {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
            {"idx": 2, "name": "2", "path": "2_Normalize", "type": "sentence_transformers.models.Normalize"}]"#;
        let read = settings(&[
            MEAN,
            ("modules.json", modules),
            (
                "sentence_bert_config.json",
                r#"{"max_seq_length": 256, "do_lower_case": false}"#,
            ),
            ("tokenizer_config.json", r#"{"model_max_length": 512}"#),
            (
                "config_sentence_transformers.json",
                r#"{"prompts": {"query": "query: "}, "default_prompt_name": "query"}"#,
            ),
        ]);
        let expected = Settings {
            pooling: Some(Pooling::Mean),
            normalise: true,
            max_tokens: Some(256),
            prefix: "query: ".into(),
        };
        assert_eq!(read, Ok(expected));
    }

    #[test]
    fn vectors_are_normalised_unless_the_chain_says_otherwise() {
        assert!(settings(&[MEAN]).unwrap().normalise);
        let modules = r#"[{"type": "x.Transformer"}, {"type": "x.Pooling", "path": "1_Pooling"}]"#;
        let read = settings(&[MEAN, ("modules.json", modules)]).unwrap();
        assert!(!read.normalise);
    }

    #[test]
    fn each_way_of_pooling_is_known_in_both_spellings() {
        for (mode, expected) in [
            (r#""pooling_mode_cls_token": true"#, Pooling::Cls),
            (r#""pooling_mode_max_tokens": true"#, Pooling::Max),
            (r#""pooling_mode_lasttoken": true"#, Pooling::LastToken),
            (r#""pooling_mode": "mean""#, Pooling::Mean),
        ] {
            let read = settings(&[("1_Pooling_config.json", &format!("{{{mode}}}"))]);
            assert_eq!(read.unwrap().pooling, Some(expected), "{mode}");
        }
    }

    #[test]
    fn what_is_missing_or_not_supported_is_named() {
        let two = r#"{"pooling_mode_cls_token": true, "pooling_mode_mean_tokens": true}"#;
        let dense = r#"[{"type": "x.Transformer"}, {"type": "x.Dense", "path": "2_Dense"}]"#;
        let outside = r#"[{"type": "x.Pooling", "path": "../secret"}]"#;
        let cases: [(&[(&str, &str)], &str); 7] = [
            (&[], "1_Pooling_config.json"),
            (&[("1_Pooling/config.json", "{}")], "names no way"),
            (
                &[("1_Pooling/config.json", two)],
                "'cls_token' and 'mean_tokens'",
            ),
            (
                &[("1_Pooling/config.json", "{")],
                "1_Pooling/config.json cannot be read",
            ),
            (&[MEAN, ("modules.json", dense)], "'Dense'"),
            (&[MEAN, ("modules.json", outside)], "../secret"),
            (
                &[
                    MEAN,
                    (
                        "config_sentence_transformers.json",
                        r#"{"default_prompt_name": "q"}"#,
                    ),
                ],
                "no prompt 'q'",
            ),
        ];
        for (files, says) in cases {
            let why = settings(files).unwrap_err();
            assert!(why.contains(says), "{why}");
        }
    }

    #[test]
    fn a_model_length_that_means_none_is_none() {
        let config = (
            "tokenizer_config.json",
            r#"{"model_max_length": 1000000000000000019884624838656}"#,
        );
        assert_eq!(settings(&[MEAN, config]).unwrap().max_tokens, None);
    }
}
