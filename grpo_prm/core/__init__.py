"""The mathematics on arrays: trees, step rewards, overlap, defects, nulls, intervals; weights and loss in torch."""
