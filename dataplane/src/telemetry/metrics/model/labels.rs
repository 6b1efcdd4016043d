//! The labels that name one version of a model.

use prometheus_client::encoding::EncodeLabelSet;

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(super) struct ModelLabels {
    pub(super) model: String,
    pub(super) version: String,
}

/// Labels of a series of one version of a model.
pub(super) trait OfModel {
    /// The model and its version.
    fn is_of(&self, model: &ModelLabels) -> bool;
}
