//! The pinned builds of ONNX Runtime, one for each kind of machine.

use super::RuntimeError;

/// No library is larger; a wheel that unpacks to more is not one.
pub const LARGEST_LIBRARY: u64 = 256 * 1024 * 1024;

/// One build. The library in it is the same for every version of Python, so one wheel will do.
#[derive(Debug)]
pub struct Release {
    os: &'static str,
    arch: &'static str,
    /// pip's name for this kind of machine.
    pub platform: &'static str,
    /// The library's name in the wheel.
    pub member: &'static str,
    /// SHA-256 of the library, from the wheels that Microsoft published for 1.31.1.
    pub sha256: &'static str,
}

const RELEASES: [Release; 3] = [
    Release {
        os: "linux",
        arch: "x86_64",
        platform: "manylinux_2_28_x86_64",
        member: "onnxruntime/capi/libonnxruntime.so.1.31.1",
        sha256: "fc44112fbe06d7d689c57e11d3862031f64711007e4ee020f8eed5185fd2c1d3",
    },
    Release {
        os: "linux",
        arch: "aarch64",
        platform: "manylinux_2_28_aarch64",
        member: "onnxruntime/capi/libonnxruntime.so.1.31.1",
        sha256: "8aa3b76b28c778a2b1dd660d34161adb1d508c9ccd04ff9dc80e26eca5df8467",
    },
    Release {
        os: "macos",
        arch: "aarch64",
        platform: "macosx_14_0_arm64",
        member: "onnxruntime/capi/libonnxruntime.1.31.1.dylib",
        sha256: "07fde7652b628c2c744155cf49020f368ddf5e1e13fc17817d1350514446bef8",
    },
];

impl Release {
    /// The build for the machine that this program was compiled for.
    pub fn of_this_machine() -> Result<&'static Self, RuntimeError> {
        Self::of(std::env::consts::OS, std::env::consts::ARCH)
    }

    fn of(os: &'static str, arch: &'static str) -> Result<&'static Self, RuntimeError> {
        RELEASES
            .iter()
            .find(|release| release.os == os && release.arch == arch)
            .ok_or(RuntimeError::NoRelease { os, arch })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serin_engine::onnx::PINNED_VERSION;

    #[test]
    fn every_pin_is_of_the_pinned_version_and_of_its_own() {
        for (index, release) in RELEASES.iter().enumerate() {
            assert!(release.member.contains(PINNED_VERSION), "{release:?}");
            assert_eq!(release.sha256.len(), 64);
            assert!(
                RELEASES[..index]
                    .iter()
                    .all(|other| other.sha256 != release.sha256)
            );
        }
    }

    #[test]
    fn a_machine_without_a_build_is_told_what_to_do() {
        let message = Release::of("linux", "riscv64").unwrap_err().to_string();
        assert!(
            message.contains("riscv64") && message.contains("--runtime-library"),
            "{message}"
        );
    }
}
