"""What models and designs are written in: rules and programs in contexts, knowing nothing of PASIDs."""
