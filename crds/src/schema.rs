//! The CustomResourceDefinition as it is shipped.
