//! From exec to the first 200 of `/readyz`.
use std::{path::Path, time::Instant};

use super::{
    servers,
    table::{Table, median, percentile},
};
use crate::{error::Result, setup::packages};

/// So many starts without a model and with the iris model, interleaved.
pub fn measure(starts: u32, folder: &Path) -> Result<Table> {
    packages::need("taskset", "util-linux")?;
    let configs = [
        servers::config(folder, false)?,
        servers::config(folder, true)?,
    ];
    let mut took: [Vec<f64>; 2] = Default::default();
    for _ in 0..starts {
        for (config, took) in configs.iter().zip(&mut took) {
            let began = Instant::now();
            let server = servers::dataplane(config)?.wait_ready()?;
            took.push(began.elapsed().as_secs_f64() * 1e3);
            drop(server);
        }
    }
    let row = |name: &str, took: &[f64]| {
        (
            name.to_owned(),
            vec![
                Some(median(took)),
                Some(percentile(took, 95)),
                Some(percentile(took, 100)),
            ],
        )
    };
    Ok(Table {
        title: format!("Start to ready, ms, {starts} starts each"),
        columns: vec!["data plane", "median", "p95", "slowest"],
        rows: vec![
            row("without a model", &took[0]),
            row("with ONNX Runtime and the iris model, warmed up", &took[1]),
        ],
    })
}
