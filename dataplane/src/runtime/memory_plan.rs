//! What each part of the process may take of the container's memory. The parts add up to the limit.

use std::fmt;

const MIB: u64 = 1 << 20;

/// What the process takes without a model and a request, ONNX Runtime included.
const PROCESS: u64 = 48 * MIB;

/// Less than this is never asked of models: nothing would load.
pub const LEAST_MODELS: u64 = 32 * MIB;

/// Requests get no more than this unless a flag asks for it.
const MOST_REQUESTS: u64 = 1024 * MIB;

/// The largest body where there is memory for it and no flag says otherwise: Triton's.
const USUAL_BODY: u64 = 64 * MIB;

/// A body is at most one part in four of the memory for requests: it has a copy in the engine, and
/// leaves half to others.
const BODIES: u64 = 4;

/// What an open connection takes: its task and buffers, and an answer of 16 KiB on its way.
pub const CONNECTION: u64 = 32 << 10;

/// What a request of an HTTP/2 connection takes besides its body, with an answer of up to 16 KiB.
pub const STREAM: usize = 16 << 10;

/// Where the memory is bounded by flags; without one it is derived.
#[derive(Clone, Copy, Debug, Default)]
pub struct MemoryFlags {
    /// `--model-memory-mib`, in bytes.
    pub models: Option<u64>,
    /// `--max-bodies-mib`, in bytes.
    pub requests: Option<u64>,
    /// `--max-body-mib`, in bytes.
    pub body: Option<u64>,
    /// `--max-connections`.
    pub connections: u64,
}

/// The bounds of the parts, in bytes unless they say otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryPlan {
    /// The container's limit, or the machine's memory.
    pub limit: u64,
    /// The process itself.
    pub process: u64,
    /// All models together.
    pub models: u64,
    /// All requests and their answers together.
    pub requests: u64,
    /// Of that, one request, or one connection.
    pub one_request: u64,
    /// One request body.
    pub body: u64,
    /// All connections together.
    pub connections: u64,
    /// How many connections that is.
    pub connection_count: u64,
    /// What the allocator and the kernel's socket buffers need besides.
    pub spare: u64,
}

/// The bounds within `limit`, the container's; without one half of the machine is for models.
pub fn plan(limit: Option<u64>, machine: u64, flags: MemoryFlags) -> MemoryPlan {
    let contained = limit.filter(|limit| *limit < machine);
    let total = contained.unwrap_or(machine);
    let (requests, body) = for_requests(total, flags);
    let (connections, spare) = match contained {
        Some(limit) => {
            let most = flags.connections.saturating_mul(CONNECTION);
            (most.min(limit / 16), limit / 16)
        }
        None => (flags.connections.saturating_mul(CONNECTION), 0),
    };
    let left = match contained {
        Some(limit) => limit.saturating_sub(PROCESS + requests + connections + spare),
        None => machine / 2,
    };
    MemoryPlan {
        limit: total,
        process: PROCESS,
        models: flags.models.unwrap_or(left).max(LEAST_MODELS),
        requests,
        one_request: (requests / 2).max(body),
        body,
        connections,
        connection_count: (connections / CONNECTION).max(1),
        spare,
    }
}

/// A quarter for requests, a quarter of that for one body; a flag for either moves the other.
fn for_requests(total: u64, flags: MemoryFlags) -> (u64, u64) {
    let quarter = (total / 4).min(MOST_REQUESTS);
    match (flags.requests, flags.body) {
        (Some(requests), Some(body)) => (requests.max(body), body),
        (Some(requests), None) => (requests, (requests / BODIES).clamp(1, USUAL_BODY)),
        (None, Some(body)) => (quarter.max(body.saturating_mul(BODIES)), body),
        (None, None) => (quarter, (quarter / BODIES).clamp(1, USUAL_BODY)),
    }
}

impl MemoryPlan {
    /// All parts together.
    pub fn sum(&self) -> u64 {
        [self.models, self.requests, self.connections, self.spare]
            .into_iter()
            .fold(self.process, u64::saturating_add)
    }

    /// Whether the parts fit the limit; they do not where flags ask for more than there is.
    pub fn fits(&self) -> bool {
        self.sum() <= self.limit
    }
}

impl fmt::Display for MemoryPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mib = |bytes: u64| bytes.div_ceil(MIB);
        write!(
            f,
            "limit {} MiB = process {} + models {} + requests {} + connections {} ({}) + spare {}; \
             one request {} MiB, one body {} MiB",
            mib(self.limit),
            mib(self.process),
            mib(self.models),
            mib(self.requests),
            mib(self.connections),
            self.connection_count,
            mib(self.spare),
            mib(self.one_request),
            mib(self.body),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FLAGS: MemoryFlags = MemoryFlags {
        models: None,
        requests: None,
        body: None,
        connections: 10_000,
    };
    const MACHINE: u64 = 16 << 30;

    #[test]
    fn the_parts_add_up_to_the_limit_whatever_it_is() {
        for limit in [192, 256, 300, 512, 1024, 4096, 12_288] {
            let plan = plan(Some(limit * MIB), MACHINE, FLAGS);
            assert_eq!(plan.limit, limit * MIB);
            assert!(plan.fits() && plan.sum() > plan.limit * 9 / 10, "{plan}");
            assert!(plan.body * 2 <= plan.one_request, "{plan}");
            assert!(plan.one_request <= plan.requests / 2, "{plan}");
        }
    }

    #[test]
    fn a_default_container_serves_models_and_bodies_of_a_useful_size() {
        let plan = plan(Some(512 * MIB), MACHINE, FLAGS);
        assert_eq!(
            plan.to_string(),
            "limit 512 MiB = process 48 + models 272 + requests 128 + connections 32 (1024) + spare 32; \
             one request 64 MiB, one body 32 MiB"
        );
        let small = super::plan(Some(256 * MIB), MACHINE, FLAGS);
        assert_eq!((small.models / MIB, small.body / MIB), (112, 16));
    }

    #[test]
    fn a_flag_takes_from_the_models_and_never_from_the_sum() {
        let flags = MemoryFlags {
            body: Some(64 * MIB),
            ..FLAGS
        };
        let plan = plan(Some(512 * MIB), MACHINE, flags);
        assert_eq!((plan.requests / MIB, plan.body / MIB), (256, 64));
        assert!(plan.fits(), "{plan}");
    }

    #[test]
    fn flags_that_ask_for_more_than_there_is_do_not_fit() {
        for flags in [
            MemoryFlags {
                models: Some(500 * MIB),
                ..FLAGS
            },
            MemoryFlags {
                requests: Some(500 * MIB),
                ..FLAGS
            },
        ] {
            let plan = plan(Some(512 * MIB), MACHINE, flags);
            assert!(!plan.fits(), "{plan}");
        }
        assert!(!super::plan(Some(64 * MIB), MACHINE, FLAGS).fits());
    }

    #[test]
    fn without_a_limit_half_of_the_machine_is_for_models() {
        for limit in [None, Some(u64::MAX), Some(MACHINE)] {
            let plan = plan(limit, MACHINE, FLAGS);
            assert_eq!(plan.models, 8 << 30);
            assert_eq!(plan.connection_count, 10_000);
            assert_eq!(plan.body, 64 * MIB);
            assert!(plan.fits(), "{plan}");
        }
    }
}
