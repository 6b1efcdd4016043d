//! The root that the images stand on: the C and C++ libraries, certificate authorities and one locale, from Debian's packages.
//! The `Dockerfile` takes the same from a distroless base.
use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::{self, Command},
    time::Duration,
};

use sha2::{Digest, Sha256};

use crate::{
    Error, Result,
    binaries::hex,
    command,
    layout::{self, create_dir},
    lock::lock,
    progress,
};

/// What programs linked against glibc and libstdc++ load at run time, and what TLS trusts.
const ROOT_PACKAGES: [&str; 4] = ["libc6", "libgcc-s1", "libstdc++6", "ca-certificates"];
/// Needed to make the locale, not in the image.
const LOCALE_PACKAGE: &str = "locales";
/// Documentation and tools, a quarter of the size.
const LEFT_OUT: [&str; 5] = [
    "usr/share/doc",
    "usr/share/lintian",
    "usr/share/man",
    "usr/sbin",
    "usr/share/gdb",
];

const DOWNLOAD_LIMIT: Duration = Duration::from_secs(300);
const UNPACK_LIMIT: Duration = Duration::from_secs(120);

/// The base layer: an uncompressed tar in the cache, made when the packages' versions are new.
pub(super) fn layer() -> Result<PathBuf> {
    let all = layout::cache_root()?.join("packages");
    create_dir(&all)?;
    let _lock = lock(&all.join("lock"))?;
    let mut packages = ROOT_PACKAGES.to_vec();
    packages.push(LOCALE_PACKAGE);
    let done = all.join(format!("base-{}.tar", key(&packages)?));
    if done.is_file() {
        return Ok(done);
    }
    let _step = progress::step("making the images' base from Debian packages", String::new);
    let work = all.join(format!("work-{}", process::id()));
    layout::remove_dir(&work)?;
    let root = work.join("root");
    download(&work, &packages)?;
    for package in ROOT_PACKAGES {
        unpack(&work, package, &root)?;
    }
    unpack(&work, LOCALE_PACKAGE, &work.join("locales"))?;
    furnish(&root, &work.join("locales"))?;
    let unfinished = work.join("base.tar");
    let mut tar = Command::new("tar");
    tar.args([
        "--sort=name",
        "--mtime=@0",
        "--owner=0",
        "--group=0",
        "--numeric-owner",
        "--format=gnu",
        "-cf",
    ])
    .arg(&unfinished)
    .arg("-C")
    .arg(&root)
    .arg(".");
    command::output(&mut tar, UNPACK_LIMIT)?;
    fs::rename(&unfinished, &done).map_err(Error::file("rename", &unfinished))?;
    layout::remove_dir(&work)?;
    Ok(done)
}

/// The one package's file, unpacked below `to`.
pub(super) fn package(name: &str, to: &Path) -> Result<()> {
    download(to, &[name])?;
    unpack(to, name, to)
}

/// Names the versions that would be downloaded, and this file's recipe.
fn key(packages: &[&str]) -> Result<String> {
    let mut apt = Command::new("apt-get");
    apt.args(["download", "-qq", "--print-uris"]).args(packages);
    let listed = command::output(&mut apt, DOWNLOAD_LIMIT).or_else(|_| {
        update()?;
        command::output(&mut apt, DOWNLOAD_LIMIT)
    })?;
    // Each line: 'address' file-name size hash. Where it comes from does not matter.
    let names = listed
        .lines()
        .flat_map(|line| line.split(' ').skip(1))
        .collect::<Vec<_>>()
        .join(" ");
    Ok(hex(&Sha256::digest(format!(
        "{names}{}",
        include_str!("base.rs")
    ))[..10]))
}

/// A machine whose package lists were never fetched knows no version.
fn update() -> Result<()> {
    command::output(
        Command::new("apt-get").args(["update", "-qq"]),
        DOWNLOAD_LIMIT,
    )
    .map(drop)
}

fn download(to: &Path, packages: &[&str]) -> Result<()> {
    create_dir(to)?;
    let mut apt = Command::new("apt-get");
    apt.args(["download", "-qq"]).args(packages).current_dir(to);
    command::output(&mut apt, DOWNLOAD_LIMIT).map(drop)
}

fn unpack(from: &Path, package: &str, to: &Path) -> Result<()> {
    let entries = fs::read_dir(from).map_err(Error::file("list", from))?;
    let is_it = |path: &PathBuf| {
        path.file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with(&format!("{package}_")))
    };
    let Some(file) = entries.flatten().map(|entry| entry.path()).find(is_it) else {
        return Err(Error::Missing {
            program: format!("the downloaded package {package}"),
            cure: "see whether `apt-get download` works".into(),
        });
    };
    create_dir(to)?;
    command::output(
        Command::new("dpkg-deb").arg("-x").arg(file).arg(to),
        UNPACK_LIMIT,
    )
    .map(drop)
}

/// What packages do in their install scripts, and what a container without a shell needs.
fn furnish(root: &Path, locales: &Path) -> Result<()> {
    for left_out in LEFT_OUT {
        layout::remove_dir(&root.join(left_out))?;
    }
    // Debian 13 has these as links into /usr, and the program that loads all others is found through one of them.
    for directory in ["lib", "lib64"] {
        let path = root.join(directory);
        if !path.exists() {
            symlink(format!("usr/{directory}"), &path).map_err(Error::file("create", &path))?;
        }
    }
    for directory in ["etc/ssl/certs", "home/nonroot", "tmp", "usr/lib/locale"] {
        create_dir(&root.join(directory))?;
    }
    let tmp = root.join("tmp");
    fs::set_permissions(&tmp, fs::Permissions::from_mode(0o1777))
        .map_err(Error::file("write", &tmp))?;
    layout::write(
        &root.join("etc/passwd"),
        "root:x:0:0:root:/root:/sbin/nologin\nnonroot:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin\n",
    )?;
    layout::write(&root.join("etc/group"), "root:x:0:\nnonroot:x:65532:\n")?;
    layout::write(&root.join("etc/nsswitch.conf"), "hosts: files dns\n")?;
    authorities(root)?;
    let mut localedef = Command::new("localedef");
    localedef
        .args(["--no-archive", "-i", "en_US", "-f", "UTF-8"])
        .arg(root.join("usr/lib/locale/en_US.utf8"))
        .env("I18NPATH", locales.join("usr/share/i18n"));
    command::output(&mut localedef, UNPACK_LIMIT).map(drop)
}

/// One file with all certificate authorities, where TLS libraries look.
fn authorities(root: &Path) -> Result<()> {
    let from = root.join("usr/share/ca-certificates/mozilla");
    let entries = fs::read_dir(&from).map_err(Error::file("list", &from))?;
    let mut files: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    files.sort();
    let all = files
        .iter()
        .map(|file| layout::read(file))
        .collect::<Result<String>>()?;
    layout::write(&root.join("etc/ssl/certs/ca-certificates.crt"), all)
}
