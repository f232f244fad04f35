"""Adds the embedding to the outputs of EfficientNet-Lite0's TensorFlow Lite file.

The embedding is the result of the global average pooling before the classifier: 1,280
numbers, from which heads decide on further tags. The network itself stays as it is.
"""

from __future__ import annotations

from typing import Any

EMBEDDING = "embedding"
WIDTH = 1280
_POOLING = b"global_average_pooling"


def with_embedding(data: bytes) -> bytes:
    """Return the file with the embedding as an output after the logits.

    :param data: a TensorFlow Lite file. One that has the output is returned as it is.
    :raises ValueError: if no single tensor of the file is the embedding.
    """
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(data, 0)
    graph = model.subgraphs[0]
    if any(graph.tensors[place].name == EMBEDDING.encode() for place in graph.outputs):
        return data
    place = _place(graph)
    graph.tensors[place].name = EMBEDDING.encode()
    graph.outputs = [*graph.outputs, place]
    for signature in model.signatureDefs or []:
        output = schema.TensorMapT()
        output.name, output.tensorIndex = EMBEDDING.encode(), place
        signature.outputs = [*signature.outputs, output]
    builder = flatbuffers.Builder(len(data))
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _place(graph: Any) -> int:
    """Return the number of the embedding's tensor."""
    places = [
        place
        for place, tensor in enumerate(graph.tensors)
        if _POOLING in tensor.name and list(tensor.shape) == [1, WIDTH]
    ]
    if len(places) != 1:
        raise ValueError(
            f"the file has {len(places)} tensors of {WIDTH} pooled numbers instead of"
            " one: it is not the bundled network"
        )
    return places[0]
