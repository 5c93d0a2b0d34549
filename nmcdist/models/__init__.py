"""The stochastic models: Boolean models, the Gaussian field, and the additive phase made of them."""
