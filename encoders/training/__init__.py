"""What training needs, torch and transformers among it; serving never imports this package."""
