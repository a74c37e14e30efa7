"""The models that come with DynX: where they are, copied to a folder of one's own, and held beside what is known of them."""
