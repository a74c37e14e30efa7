"""The verb that follows agents through the periods of a solved circuit."""
