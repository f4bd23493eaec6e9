"""The loss of a batch, by its task."""

import copy

import torch
from sentence_transformers.sentence_transformer.losses import CachedMultipleNegativesRankingLoss, MultipleNegativesRankingLoss
from sentence_transformers.util import cos_sim

from hybrid_batch.strategies import TASKS


def cosines(queries, candidates):
    """(queries, candidates), in float32 also where the encoder computes in bf16, which rounds a cosine to steps of .004: at a
    temperature of .01 steps of .4 in the scores."""
    with torch.autocast(queries.device.type, enabled=False):
        return cos_sim(queries.float(), candidates.float())


class TaskLoss(torch.nn.Module):
    """InfoNCE over the batch; for some tasks, if the training says so, another loss.

    ``own_negatives``: tasks whose queries are compared with their own candidates only (after NV-Embed, arXiv 2405.17428).
    ``distillation``: of batches of the task parallel. Each text is drawn towards what the encoder made of its
        translation before training: by InfoNCE among those vectors, and by this weight times 1 - cosine, which goes on
        when all others are far away (after Reimers and Gurevych, arXiv 2004.09813, where the translation is into English).

    forward: features of anchors, positives and negatives; labels (pairs,): the number of the batch's task in TASKS.
    Raises ValueError if the loss is not finite.
    """

    def __init__(self, encoder, training, gather_across_devices=False):
        super().__init__()
        self.model, self.own_negatives, self.distillation = encoder, training.own_negatives, training.distillation
        self.scale = 1 / training.temperature
        options = dict(scale=self.scale, similarity_fct=cosines, gather_across_devices=gather_across_devices)
        self.infonce = MultipleNegativesRankingLoss(encoder, **options)
        self.in_batch = self.infonce if not training.mini_batch_size else CachedMultipleNegativesRankingLoss(
            encoder, mini_batch_size=training.mini_batch_size, **options)
        # A tuple hides the teacher from the trainer, which would put the trained encoder in its place.
        self.teacher = (copy.deepcopy(encoder).eval().requires_grad_(False),) if self.distillation else ()

    def forward(self, features, labels):
        task, features = TASKS[int(labels[0])], list(features)
        if task == "parallel" and self.teacher:
            loss = self._distil(features, labels)
        elif task in self.own_negatives:
            loss = self._rank_own(features)
        else:
            loss = self.in_batch(features, labels)
        if not torch.isfinite(loss):
            raise ValueError(f"the loss of a {task} batch is {loss.item()}: train with precision float32, a smaller learning "
                             f"rate or a higher temperature, and check that the encoder's vectors are finite")
        return loss

    def _distil(self, features, labels):
        with torch.no_grad():
            targets = self.teacher[0](features[1])["sentence_embedding"]
        vectors = self.model(features[0])["sentence_embedding"]
        pull = 1 - torch.nn.functional.cosine_similarity(vectors, targets).mean()
        return self.infonce.compute_loss_from_embeddings([vectors, targets], labels) + self.distillation * pull

    def _rank_own(self, features):
        if len(features) < 3:
            raise ValueError("own_negatives: a pair of the batch brings no negatives of its own: use a corpus with "
                             "negatives in every row, and hard_negatives")
        vectors = [self.model(part)["sentence_embedding"] for part in features]  # (pairs, dim) each
        scores = [torch.nn.functional.cosine_similarity(vectors[0], part) for part in vectors[1:]]
        scores = self.scale * torch.stack(scores, 1)                             # (pairs, candidates)
        return torch.nn.functional.cross_entropy(scores, torch.zeros(len(scores), dtype=int, device=scores.device))
