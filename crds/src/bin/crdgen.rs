//! Writes the generated CustomResourceDefinition into the repository.
#![forbid(unsafe_code)]

use std::error::Error;
use std::path::Path;

use serin_crds::schema::{CHART_CRD_FILE, CRD_FILE, shipped_crd_yaml};

fn main() -> Result<(), Box<dyn Error>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let yaml = shipped_crd_yaml()?;
    for file in [CRD_FILE, CHART_CRD_FILE] {
        let path = root.join(file);
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        std::fs::write(&path, &yaml)?;
        println!("{file}: {} bytes", yaml.len());
    }
    Ok(())
}
