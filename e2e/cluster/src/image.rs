//! Images for the cluster, from binaries, without a registry or an engine: archives as `docker save` writes them.
mod archive;
mod base;

use std::{
    fs::{self, File},
    io::{self, Write},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{self, Command},
    time::Duration,
};

use serde_json::json;
use sha2::{Digest, Sha256};

use self::archive::Archive;
use crate::{
    Cluster, Error, Result,
    binaries::hex,
    command,
    config::PAUSE_IMAGE,
    layout::{self, Layout},
    lock::lock,
    progress,
};

/// Busybox for tests that need a client or a shell in a pod; see [`tools`].
pub const TOOLS_IMAGE: &str = "localhost/serin-e2e-tools:1";

/// The user of every image, as in distroless's `nonroot`.
const USER: &str = "65532:65532";
/// How many archives of one image, whatever their tags, are kept in the cache.
const KEPT: usize = 3;
/// Of the digest in an archive's file name.
const KEY_BYTES: usize = 10;
const LIST_LIMIT: Duration = Duration::from_secs(10);
const IMPORT_LIMIT: Duration = Duration::from_secs(300);

/// An image to build: glibc, libstdc++, libgcc_s, certificate authorities and the en_US.UTF-8 locale, with a program on top.
/// It runs as user and group 65532.
#[derive(Debug, Clone)]
pub struct ImageSpec {
    /// With its tag, for example `localhost/serin-operator:e2e`.
    pub name: String,
    /// The program, which becomes `/usr/bin/` and its file name.
    pub binary: PathBuf,
    /// Further files: where they are here, and their absolute path in the image.
    pub extra_files: Vec<(PathBuf, String)>,
    /// The program to run, by its path in the image, and its first arguments.
    pub entrypoint: Vec<String>,
    /// Variables, `NAME=value`.
    pub env: Vec<String>,
}

/// A built image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageArchive {
    /// With its tag.
    pub name: String,
    /// Of the image's configuration, which names all of its content.
    pub digest: String,
    /// The archive, in the cache.
    pub path: PathBuf,
}

/// What a layer holds.
enum Entry {
    File { from: PathBuf, executable: bool },
    Link { target: String },
}

/// Builds the archive, or finds it in the cache when nothing has changed.
///
/// # Errors
/// When a file cannot be read or Debian's packages cannot be had.
pub fn build(spec: &ImageSpec) -> Result<ImageArchive> {
    let bad = |problem: String| Error::Image {
        image: spec.name.clone(),
        problem,
    };
    let Some(program) = spec.binary.file_name() else {
        return Err(bad(format!("{} is no file", spec.binary.display())));
    };
    let program = format!("/usr/bin/{}", program.to_string_lossy());
    let files = spec
        .extra_files
        .iter()
        .map(|(from, to)| (from, to))
        .chain([(&spec.binary, &program)]);
    let mut entries = Vec::new();
    for (from, to) in files {
        let kind = fs::metadata(from).map_err(Error::file("read", from))?;
        if !kind.is_file() || !to.starts_with('/') {
            return Err(bad(format!(
                "{} -> {to}: give a file here and an absolute path in the image",
                from.display()
            )));
        }
        let executable = kind.permissions().mode() & 0o111 != 0;
        entries.push((
            to[1..].to_owned(),
            Entry::File {
                from: from.clone(),
                executable,
            },
        ));
    }
    let run =
        json!({"User": USER, "Entrypoint": spec.entrypoint, "Env": spec.env, "WorkingDir": "/"});
    assemble(
        &layout::cache_root()?,
        &spec.name,
        &run,
        Some(&base::layer()?),
        &entries,
    )
}

/// Busybox (`sh`, `nc`, `httpd`, `nslookup`...) on the same base, for tests that need a client or a shell in a pod.
/// Its `wget` crashes when it is given a name and not an address (Debian 12); `nc` does not.
///
/// # Errors
/// When Debian's package cannot be had.
pub fn tools() -> Result<ImageArchive> {
    let cache = layout::cache_root()?;
    let from = cache.join("packages/busybox");
    let busybox = ["bin/busybox", "usr/bin/busybox"].map(|place| from.join(place));
    if !busybox.iter().any(|path| path.is_file()) {
        base::package("busybox", &from)?;
    }
    let Some(busybox) = busybox.into_iter().find(|path| path.is_file()) else {
        return Err(Error::Image {
            image: TOOLS_IMAGE.into(),
            problem: "the package busybox has no busybox".into(),
        });
    };
    let applets = command::output(Command::new(&busybox).arg("--list"), LIST_LIMIT)?;
    let links = applets.lines().filter(|applet| *applet != "busybox");
    let mut entries: Vec<_> = links
        .map(|applet| {
            (
                format!("bin/{applet}"),
                Entry::Link {
                    target: "busybox".into(),
                },
            )
        })
        .collect();
    entries.push((
        "bin/busybox".into(),
        Entry::File {
            from: busybox,
            executable: true,
        },
    ));
    let run = json!({"User": USER, "Entrypoint": ["/bin/busybox"], "Env": ["PATH=/bin"], "WorkingDir": "/"});
    assemble(&cache, TOOLS_IMAGE, &run, Some(&base::layer()?), &entries)
}

/// The image of each pod's first container.
pub(crate) fn pause(layout: &Layout, program: &Path) -> Result<ImageArchive> {
    let entries = vec![(
        "pause".to_owned(),
        Entry::File {
            from: program.into(),
            executable: true,
        },
    )];
    assemble(
        layout.cache(),
        PAUSE_IMAGE,
        &json!({"User": USER, "Entrypoint": ["/pause"]}),
        None,
        &entries,
    )
}

/// Gives the image to the cluster's containerd, unless it has this very content under this name.
/// Somebody else's cluster gets nothing: a line on stderr says which image it must have.
///
/// # Errors
/// When containerd refuses it.
pub fn import(cluster: &Cluster, image: &ImageArchive) -> Result<()> {
    let Some((layout, _)) = cluster.inside() else {
        progress::say(&format!(
            "{} must be in your cluster already: this archive can be loaded into it: {}",
            image.name,
            image.path.display()
        ));
        return Ok(());
    };
    layout::create_dir(&layout.state().join("images"))?;
    let record = layout.state().join("images").join(safe(&image.name));
    // Tests in parallel want the same image.
    let _lock = lock(&layout.state().join("images/lock"))?;
    let known = fs::read_to_string(&record).is_ok_and(|digest| digest == image.digest);
    let named = format!("name=={}", image.name);
    if known && !ctr(cluster, &["images", "ls", "-q", &named])?.is_empty() {
        return Ok(());
    }
    let _step = progress::step(&format!("importing {}", image.name), String::new);
    ctr(
        cluster,
        &[
            "images",
            "import",
            "--snapshotter",
            "overlayfs",
            &image.path.to_string_lossy(),
        ],
    )?;
    layout::write(&record, &image.digest)
}

fn ctr(cluster: &Cluster, arguments: &[&str]) -> Result<String> {
    command::output(cluster.command("ctr").args(arguments), IMPORT_LIMIT)
}

/// An image's name as a file's.
fn safe(name: &str) -> String {
    name.replace(['/', ':'], "_")
}

fn assemble(
    cache: &Path,
    name: &str,
    run: &serde_json::Value,
    base: Option<&PathBuf>,
    entries: &[(String, Entry)],
) -> Result<ImageArchive> {
    let failed = |source: io::Error| Error::Image {
        image: name.into(),
        problem: format!("cannot write its archive: {source}"),
    };
    let images = cache.join("images");
    layout::create_dir(&images)?;
    let _lock = lock(&images.join("lock"))?;
    // Written once to nowhere, for the digest: most often the archive is there already.
    let own_digest = write_layer(Hashing::new(io::sink()), entries).map_err(failed)?;
    let base_digest = base
        .map(|path| File::open(path).and_then(digest_of))
        .transpose()
        .map_err(failed)?;
    let digests: Vec<_> = base_digest
        .iter()
        .chain([&own_digest])
        .map(|digest| format!("sha256:{digest}"))
        .collect();
    let architecture = if cfg!(target_arch = "aarch64") {
        "arm64"
    } else {
        "amd64"
    };
    let config = json!({"architecture": architecture, "os": "linux", "config": run, "rootfs": {"type": "layers", "diff_ids": digests}}).to_string();
    let digest = hex(&Sha256::digest(&config));
    let repository = safe(
        name.rsplit_once(':')
            .map_or(name, |(repository, _)| repository),
    );
    // The archive has the tag in it, so one content under two tags is two archives.
    let file_key = hex(&Sha256::digest(format!("{name}\0{digest}"))[..KEY_BYTES]);
    let path = images.join(format!("{repository}-{file_key}.tar"));
    if !path.is_file() {
        let _step = progress::step(&format!("building image {name}"), String::new);
        let own = images.join(format!("layer-{}", process::id()));
        write_layer(Hashing::new(File::create(&own).map_err(failed)?), entries).map_err(failed)?;
        let layers: Vec<_> = base.into_iter().chain([&own]).collect();
        let unfinished = images.join(format!("image-{}", process::id()));
        write_archive(&unfinished, name, &config, &layers).map_err(failed)?;
        fs::remove_file(&own).map_err(failed)?;
        fs::rename(&unfinished, &path).map_err(failed)?;
        forget_old(&images, &repository).map_err(failed)?;
    }
    Ok(ImageArchive {
        name: name.into(),
        digest,
        path,
    })
}

/// Writes the layer, directories first, and returns its digest.
fn write_layer(to: Hashing<impl Write>, entries: &[(String, Entry)]) -> io::Result<String> {
    let mut archive = Archive::new(to);
    let mut directories: Vec<&str> = Vec::new();
    for (path, _) in entries {
        directories.extend(path.match_indices('/').map(|(at, _)| &path[..at]));
    }
    directories.sort_unstable();
    directories.dedup();
    directories
        .into_iter()
        .try_for_each(|directory| archive.directory(directory))?;
    for (path, entry) in entries {
        match entry {
            Entry::Link { target } => archive.link(path, target)?,
            Entry::File { from, executable } => {
                let file = File::open(from)?;
                let mode = if *executable { 0o755 } else { 0o644 };
                archive.file(path, mode, file.metadata()?.len(), file)?;
            }
        }
    }
    archive.finish().map(Hashing::digest)
}

fn write_archive(to: &Path, name: &str, config: &str, layers: &[&PathBuf]) -> io::Result<()> {
    let names: Vec<_> = (0..layers.len())
        .map(|index| format!("layer-{index}.tar"))
        .collect();
    let manifest =
        json!([{"Config": "config.json", "RepoTags": [name], "Layers": names}]).to_string();
    let mut archive = Archive::new(io::BufWriter::new(File::create(to)?));
    for (path, content) in [
        ("manifest.json", manifest.as_str()),
        ("config.json", config),
    ] {
        archive.file(path, 0o644, content.len() as u64, content.as_bytes())?;
    }
    for (path, layer) in names.iter().zip(layers) {
        let file = File::open(layer)?;
        archive.file(path, 0o644, file.metadata()?.len(), file)?;
    }
    archive.finish().map(drop)
}

/// Each build of a program makes another archive; the cache keeps the latest few.
fn forget_old(images: &Path, repository: &str) -> io::Result<()> {
    let mut archives = Vec::new();
    for entry in fs::read_dir(images)? {
        let entry = entry?;
        let file = entry.file_name().to_string_lossy().into_owned();
        if file.strip_prefix(repository).is_some_and(|rest| {
            rest.starts_with('-') && rest.len() == "-.tar".len() + 2 * KEY_BYTES
        }) {
            archives.push((entry.metadata()?.modified()?, entry.path()));
        }
    }
    archives.sort();
    let old = archives.len().saturating_sub(KEPT);
    archives[..old]
        .iter()
        .try_for_each(|(_, path)| fs::remove_file(path))
}

/// Hashes what is written through it.
struct Hashing<W> {
    to: W,
    hash: Sha256,
}

impl<W: Write> Hashing<W> {
    fn new(to: W) -> Self {
        Self {
            to,
            hash: Sha256::new(),
        }
    }

    fn digest(self) -> String {
        hex(&self.hash.finalize())
    }
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.to.write(bytes)?;
        self.hash.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

fn digest_of(mut file: File) -> io::Result<String> {
    let mut hashing = Hashing::new(io::sink());
    io::copy(&mut file, &mut hashing)?;
    Ok(hashing.digest())
}

#[cfg(test)]
mod tests;
