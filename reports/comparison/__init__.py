"""The tables, figures and page that compare systems as the paper does."""
