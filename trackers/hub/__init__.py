"""The Hugging Face hub: names of models, what a repository holds, and whether it may be fetched."""
