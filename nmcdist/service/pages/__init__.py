"""The pages as HTML: complete without scripts, with every value escaped; scripts of `static` add what moves."""
