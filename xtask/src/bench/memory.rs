//! What idle processes hold.
use std::{fs, path::Path};

use super::{servers, table::Table};
use crate::{
    error::{Error, Result},
    setup::packages,
};

/// The data plane without and with the iris model, and every operator that runs on this machine (the test cluster's).
pub fn measure(folder: &Path) -> Result<Table> {
    packages::need("taskset", "util-linux")?;
    let mut rows = Vec::new();
    for (name, with_model) in [
        ("data plane without a model", false),
        ("data plane with ONNX Runtime and the iris model", true),
    ] {
        let server = servers::dataplane(&servers::config(folder, with_model)?)?.wait_ready()?;
        rows.push((name.to_owned(), of(server.id())?));
    }
    let operators = named("serin-operator");
    if operators.is_empty() {
        println!(
            "    no operator runs: `cargo xtask test cluster` leaves one running, which is then measured too"
        );
    }
    for id in operators {
        rows.push((format!("operator, process {id}"), of(id)?));
    }
    Ok(Table {
        title:
            "Idle memory, MiB (anonymous: the process's own; PSS: with its share of mapped files)"
                .into(),
        columns: vec!["process", "anonymous", "PSS", "RSS"],
        rows,
    })
}

fn of(id: u32) -> Result<Vec<Option<f64>>> {
    let path = format!("/proc/{id}/smaps_rollup");
    let text = fs::read_to_string(&path).map_err(Error::file("read", &path))?;
    Ok(["Anonymous:", "Pss:", "Rss:"]
        .map(|name| mib(&text, name))
        .to_vec())
}

fn mib(rollup: &str, name: &str) -> Option<f64> {
    let line = rollup.lines().find_map(|line| line.strip_prefix(name))?;
    Some(line.split_whitespace().next()?.parse::<f64>().ok()? / 1024.0)
}

fn named(program: &str) -> Vec<u32> {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let ids = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    ids.filter(|id: &u32| {
        fs::read_to_string(format!("/proc/{id}/comm")).is_ok_and(|name| name.trim_end() == program)
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_of_the_rollup_is_read_in_mib() {
        let rollup = "55e0-7ffe ---p 00000000 00:00 0    [rollup]\nRss:               20480 kB\nPss:               10240 kB\nPss_Anon: 5 kB\n";
        assert_eq!(mib(rollup, "Pss:"), Some(10.0));
        assert_eq!(mib(rollup, "Anonymous:"), None);
    }
}
