//! Reads single children from the API server, past the watches.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use kube::{Api, Client};

use crate::child_kind::{ChildKind, ChildObject, ChildType, KindVisitor};
use crate::deadline::{Call, with_deadline};
use crate::error::Error;

/// The object of this kind and name, whoever owns it; `None` where there is none.
///
/// # Errors
/// Those of [`with_deadline`].
pub async fn read(
    client: &Client,
    namespace: &str,
    kind: ChildKind,
    name: &str,
) -> Result<Option<ChildObject>, Error> {
    let call = Call {
        verb: "get",
        kind: kind.as_str(),
        name,
    };
    let get = Get {
        client: client.clone(),
        namespace,
        name,
    };
    with_deadline(call, kind.visit(get)).await
}

struct Get<'a> {
    client: Client,
    namespace: &'a str,
    name: &'a str,
}

impl<'a> KindVisitor for Get<'a> {
    type Output = BoxFuture<'a, kube::Result<Option<ChildObject>>>;

    fn visit<K: ChildType>(self) -> Self::Output {
        Box::pin(async move {
            let api = Api::<K>::namespaced(self.client, self.namespace);
            let found = api.get_opt(self.name).await?;
            Ok(found.map(|object| ChildObject::new(Arc::new(object))))
        })
    }
}
