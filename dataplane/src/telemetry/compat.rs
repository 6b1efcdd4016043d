//! Other servers' metric names, for dashboards and gateways that know these.
//!
//! They are read off our own page each time it is rendered: a request is counted once, and what
//! two names say of one thing cannot differ. Histograms keep our buckets.

mod kserve;
mod page;
mod triton;
mod vllm;
mod writer;

use std::time::SystemTime;

use serin_crds::contract::policy::CompatMetrics;

use self::page::Page;
use self::writer::Writer;

/// Appends the names of these servers to `out`. `own` is our own page as OpenMetrics; `open` tells
/// which of the two formats `out` is in.
pub(super) fn append(out: &mut String, own: &str, names: &[CompatMetrics], open: bool) {
    if names.is_empty() {
        return;
    }
    let page = Page::read(own);
    let mut writer = Writer { out, open };
    for of in names {
        match of {
            CompatMetrics::Vllm => vllm::write(&page, SystemTime::now(), &mut writer),
            CompatMetrics::Triton => triton::write(&page, &mut writer),
            CompatMetrics::KServe => kserve::write(&page, &mut writer),
        }
    }
}

#[cfg(test)]
mod tests;
