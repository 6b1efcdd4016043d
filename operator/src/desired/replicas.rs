//! The size of a revision, and whether it must be written.

use serin_crds::inference_service::Autoscaling;

use crate::validated::{Size, ValidatedService};

/// Input of the decision about a revision's size.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sizes {
    /// `spec.replicas` of its live Deployment.
    pub live: Option<i32>,
    /// `spec.replicas` of the stable revision's live Deployment, where it is another one.
    pub stable: Option<i32>,
    /// The last size that the status reported, for an autoscaled Deployment that has vanished.
    pub last: Option<i32>,
}

/// The `spec.replicas` to write, or `None` where the live value stays: it is right already, or an
/// autoscaler owns it.
pub fn to_write(service: &ValidatedService, sizes: Sizes) -> Option<i32> {
    let wanted = match &service.size {
        _ if service.is_stopped() => 0,
        Size::Fixed(replicas) => *replicas,
        Size::Autoscaled(bounds) => within(bounds, sizes),
    };
    (sizes.live != Some(wanted)).then_some(wanted)
}

fn within(bounds: &Autoscaling, sizes: Sizes) -> i32 {
    let clamp = |replicas: i32| {
        let min = bounds.min_replicas();
        replicas.clamp(min, bounds.max_replicas.max(min))
    };
    match (sizes.live, sizes.stable) {
        // The next revision needs the capacity that the stable one has now.
        (live, Some(stable)) => clamp(live.unwrap_or(0).max(stable)),
        (Some(live), None) => clamp(live),
        (None, None) => clamp(sizes.last.unwrap_or(0)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::builders::validated;

    fn autoscaled(min: i32, max: i32) -> ValidatedService {
        let mut service = validated("iris");
        service.size = Size::Autoscaled(Autoscaling {
            min_replicas: Some(min),
            max_replicas: max,
            ..Autoscaling::default()
        });
        service
    }

    fn live(replicas: i32) -> Sizes {
        Sizes {
            live: Some(replicas),
            ..Sizes::default()
        }
    }

    #[test]
    fn a_fixed_size_is_written_whenever_it_differs() {
        let mut service = validated("iris");
        service.size = Size::Fixed(3);
        assert_eq!(to_write(&service, Sizes::default()), Some(3));
        assert_eq!(to_write(&service, live(2)), Some(3));
        assert_eq!(to_write(&service, live(3)), None);
    }

    #[test]
    fn an_autoscaled_size_is_written_only_at_creation_from_zero_and_out_of_bounds() {
        let service = autoscaled(2, 5);
        assert_eq!(to_write(&service, Sizes::default()), Some(2));
        for inside in 2..=5 {
            assert_eq!(to_write(&service, live(inside)), None);
        }
        assert_eq!(to_write(&service, live(0)), Some(2));
        assert_eq!(to_write(&service, live(9)), Some(5));
    }

    #[test]
    fn an_autoscaled_deployment_that_vanished_comes_back_with_the_size_it_had() {
        let sizes = Sizes {
            last: Some(4),
            ..Sizes::default()
        };
        assert_eq!(to_write(&autoscaled(2, 5), sizes), Some(4));
    }

    #[test]
    fn the_next_revision_follows_the_stable_one_up_and_never_down() {
        let service = autoscaled(1, 10);
        let next = |live, stable| Sizes {
            live,
            stable: Some(stable),
            last: None,
        };
        assert_eq!(to_write(&service, next(None, 4)), Some(4));
        assert_eq!(to_write(&service, next(Some(4), 6)), Some(6));
        assert_eq!(to_write(&service, next(Some(4), 2)), None);
        assert_eq!(to_write(&service, next(None, 0)), Some(1));
    }

    #[test]
    fn a_stopped_service_has_no_pods_however_it_is_sized() {
        let mut service = autoscaled(2, 5);
        service.suspended = true;
        assert_eq!(to_write(&service, live(3)), Some(0));
        assert_eq!(to_write(&service, live(0)), None);
    }
}
