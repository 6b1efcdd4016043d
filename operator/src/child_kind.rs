//! The table of the kinds of children. A new kind is one row here and one file below
//! [`desired`](crate::desired) that builds it.

use std::any::Any;
use std::fmt::Debug;
use std::sync::Arc;

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::{ConfigMap, Service};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Declares [`ChildKind`] from rows of a Kubernetes type and when objects of it are deleted.
macro_rules! child_kinds {
    ($($(#[$doc:meta])* $kind:ident: $deleted:ident,)+) => {
        /// The kinds of children, in the order of applying: what pods mount, the
        /// pods, what points at them, what scales them. The order of deleting is the reverse.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum ChildKind {
            $($(#[$doc])* $kind,)+
        }

        impl ChildKind {
            /// Every kind, in the order of applying.
            pub const ALL: &[Self] = &[$(Self::$kind,)+];

            /// The Kubernetes name of the kind.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$kind => <$kind as k8s_openapi::Resource>::KIND,)+
                }
            }

            /// When an object of the kind is deleted.
            pub const fn deleted(self) -> Deleted {
                match self {
                    $(Self::$kind => Deleted::$deleted,)+
                }
            }

            /// Calls `visitor` with the Kubernetes type of the kind.
            pub fn visit<V: KindVisitor>(self, visitor: V) -> V::Output {
                match self {
                    $(Self::$kind => visitor.visit::<$kind>(),)+
                }
            }
        }

        $(impl ChildType for $kind {
            const CHILD_KIND: ChildKind = ChildKind::$kind;
        })+
    };
}

child_kinds! {
    /// Holds a revision's configuration and the snapshot it is rebuilt from, or the policy.
    ConfigMap: WithRevision,
    /// Runs a revision's pods.
    Deployment: WithRevision,
    /// The address callers use.
    Service: WithService,
    /// Scales the stable revision. Deleted first: it would go on writing the size
    /// of a Deployment that is being deleted.
    HorizontalPodAutoscaler: WhenNotPlanned,
}

/// When the operator deletes an object of a kind. The garbage collector deletes every child of a
/// deleted service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deleted {
    /// Only by the garbage collector.
    WithService,
    /// With its revision.
    WithRevision,
    /// As soon as no plan contains it.
    WhenNotPlanned,
}

/// A Kubernetes type whose objects may be children.
pub trait ChildType:
    k8s_openapi::Resource<Scope = NamespaceResourceScope>
    + k8s_openapi::Metadata<Ty = ObjectMeta>
    + k8s_openapi::DeepMerge
    + Clone
    + Debug
    + Serialize
    + DeserializeOwned
    + Send
    + Sync
    + 'static
{
    /// Its row of the table.
    const CHILD_KIND: ChildKind;
}

/// A generic operation over the Kubernetes types of the kinds.
pub trait KindVisitor {
    /// The result.
    type Output;
    /// Runs for the kind of type `K`.
    fn visit<K: ChildType>(self) -> Self::Output;
}

/// An object of any kind of child, as read from the API server.
#[derive(Clone, Debug)]
pub struct ChildObject {
    kind: ChildKind,
    object: Arc<dyn AnyChild>,
}

/// What all kinds have in common.
trait AnyChild: Any + Debug + Send + Sync {
    fn metadata(&self) -> &ObjectMeta;
    fn json(&self) -> Value;
}

impl<K: ChildType> AnyChild for K {
    fn metadata(&self) -> &ObjectMeta {
        k8s_openapi::Metadata::metadata(self)
    }

    #[expect(
        clippy::expect_used,
        reason = "Kubernetes types have string keys and no fallible serializer"
    )]
    fn json(&self) -> Value {
        serde_json::to_value(self).expect("a Kubernetes object is valid JSON")
    }
}

impl ChildObject {
    /// Wraps an object.
    pub fn new<K: ChildType>(object: Arc<K>) -> Self {
        Self {
            kind: K::CHILD_KIND,
            object,
        }
    }

    /// Reads an object of this kind, as tests write it.
    ///
    /// # Errors
    /// `json` is no object of the kind.
    #[cfg(test)]
    pub fn read(kind: ChildKind, json: Value) -> Result<Self, serde_json::Error> {
        struct Read(Value);
        impl KindVisitor for Read {
            type Output = Result<ChildObject, serde_json::Error>;
            fn visit<K: ChildType>(self) -> Self::Output {
                serde_json::from_value::<K>(self.0).map(|object| ChildObject::new(Arc::new(object)))
            }
        }
        kind.visit(Read(json))
    }

    /// Its kind.
    pub fn kind(&self) -> ChildKind {
        self.kind
    }

    /// Its metadata.
    pub fn metadata(&self) -> &ObjectMeta {
        self.object.metadata()
    }

    /// The whole object.
    pub fn json(&self) -> Value {
        self.object.json()
    }

    /// The object with its type, where it is of that one.
    pub fn typed<K: ChildType>(&self) -> Option<&K> {
        let object: &dyn Any = &*self.object;
        object.downcast_ref()
    }

    /// The same, shared.
    pub fn shared<K: ChildType>(&self) -> Option<Arc<K>> {
        let object: Arc<dyn Any + Send + Sync> = self.object.clone();
        object.downcast().ok()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_object_is_read_and_given_back_with_the_type_of_its_kind() {
        for kind in ChildKind::ALL {
            let json = json!({"metadata": {"name": "a"}, "spec": {
                "selector": {}, "template": {}, "maxReplicas": 1,
                "scaleTargetRef": {"kind": "Deployment", "name": "a"},
            }});
            let object = ChildObject::read(*kind, json).unwrap();
            assert_eq!(object.kind(), *kind);
            assert_eq!(object.metadata().name.as_deref(), Some("a"));
            assert_eq!(object.json()["kind"], kind.as_str());
            assert_eq!(
                object.typed::<ConfigMap>().is_some(),
                *kind == ChildKind::ConfigMap
            );
        }
    }
}
