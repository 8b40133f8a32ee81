"""The Chinese edition of docs/benchmarks.md: its summary, with the same tables; single rows stand in the other."""

from __future__ import annotations

import re
from typing import Any

_TABLE = re.compile(r"(?:^\|.*\|\n)+", re.MULTILINE)

CELLS = {
    "work": "训练",
    "target": "目标",
    "against DataLoader": "对 DataLoader",
    "against the best peer": "对最快的对手",
    "against the floor": "对下限",
    "best peer": "最快的对手",
    "contender": "参加者",
    "share of the matrix-product rate": "占矩阵乘法速度的比例",
    "share of the cache's rate (weights read and written once)": "占缓存速度的比例（权重各读写一次）",
    "first update, s": "第一次更新，秒",
    "goal, s": "达到目标，秒",
    "min – max": "最小 – 最大",
    "exit, s": "退出，秒",
    "processor s": "处理器时间，秒",
    "epochs": "轮数",
    "peak memory, MiB": "内存峰值，MiB",
    "µs a sample": "每个样本，µs",
    "micro-batch": "微批",
    "samples in the order": "顺序中的样本数",
    "from position": "从哪个位置起",
    "trainer": "训练工具",
    "its own, µs": "它自己的循环，µs",
    "in Epochal, µs": "在 Epochal 中，µs",
    "its own ÷ in Epochal": "前者 ÷ 后者",
    "Epochal's `mlp`, µs": "Epochal 的 `mlp`，µs",
    "`EpochalClassifier`, ms": "`EpochalClassifier`，毫秒",
    "`MLPClassifier`, ms": "`MLPClassifier`，毫秒",
    "scikit-learn's ÷ Epochal's": "后者 ÷ 前者",
    "iris: a fit of 10 epochs": "iris：10 轮的拟合",
    "iris: `GridSearchCV` of 3 × 3 + 1 fits of 30 epochs": "iris：`GridSearchCV`，3 × 3 + 1 次 30 轮的拟合",
    "60,000 × 784, B = 200: a fit of 2 epochs": "60,000 × 784，批大小 200：2 轮的拟合",
    "JAX loop by hand": "手写的 JAX 循环",
    "Keras on JAX, tuned": "Keras（JAX），调优",
    "Keras on JAX": "Keras（JAX）",
    "PyTorch, DataLoader": "PyTorch，DataLoader",
    "PyTorch, indexing": "PyTorch，按下标取",
    "PyTorch, torch.compile": "PyTorch，torch.compile",
    "Epochal, first start": "Epochal，首次启动",
    "Epochal, second start": "Epochal，再次启动",
    "not reached": "未达到",
}
_WITHIN = {" met": " 达到", " missed": " 未达到", ", to ": "，达到 "}


def tables(text: str) -> list[str]:
    r"""Return the tables in a section of the English page, with their words in Chinese.

    >>> tables("Text.\n\n| work | µs |\n| --- | --- |\n| cnn, to 99 % | 3 |\n")
    ['| 训练 | µs |\n| --- | --- |\n| cnn，达到 99 % | 3 |\n']
    """
    return ["".join(f"| {' | '.join(map(_cell, _cells(row)))} |\n" for row in table.splitlines())
            for table in _TABLE.findall(text)]  # fmt: skip


def _cells(row: str) -> list[str]:
    return row.removeprefix("| ").removesuffix(" |").split(" | ")


def _cell(text: str) -> str:
    for english, chinese in _WITHIN.items():
        text = text.replace(english, chinese)
    return CELLS.get(text, text)


def chinese_page(numbers: dict[str, Any], parts: dict[str, str]) -> str:
    """Return the page, from the English page's sections by name."""
    machine = numbers["machine"]
    when = sorted(result["when"] for result in numbers["results"])
    limits = numbers["limits"]
    text = f"""# 基准测试

[English](benchmarks.md)

由 `make bench` 写成，共 {numbers["seconds"] / 60:.1f} 分钟，第一行自 {when[0]}、
最后一行自 {when[-1]} 开始测量；请不要手工改动。
这是摘要：原始数字在 [benchmarks.json](benchmarks.json)，每一行都在[英文页](benchmarks.md#every-row)，
原因在[性能](performance.zh-CN.md)。

{machine["processor"]}，用了 {machine["processors"]} 个处理器中的 {machine["threads"]} 个；
Python {machine["python"]}，{machine["versions"]}。

每个参加者的数据、模型、初始权重的种类、优化器、学习率和批大小都相同，
各用 {machine["threads"]} 个线程，在各自的进程里轮流测量，一次一个，取几次重复的中位数。
短训练达到同样准确率的才算数。Epochal 按 `epochal.train` 测量：
带审计、每次迭代的损失、磁盘上的历史和检查点；“手写的 JAX 循环”没有这些，是下限。

![每秒迭代次数](benchmarks.svg)

## 目标

同一次重复中，别人的时间是 Epochal 的几倍，取中位数；越大越好。

{tables(parts["targets"])[0]}
没有达到的那几项的原因，见[性能](performance.zh-CN.md#不足之处)。

## 机器的极限

矩阵乘法：{limits["matrix_flops"] / 1e9:,.0f} GFLOP/s（2048×2048，float32）。
内存读写：{limits["memory_bytes"] / 1e9:.1f} GB/s；
512 KiB 以内（`mlp` 的权重大约这么大）：{limits["cache_bytes"] / 1e9:.1f} GB/s。

{tables(parts["limits"])[0]}
"""
    if whole := tables(parts["whole"]):
        text += f"""## 整个进程

从启动 Python 算起，MNIST 的文件在磁盘上，批大小 100；
每一轮之后评估测试集，达到目标就停。首次启动要编译，再次启动从缓存里取出编译好的程序。

{whole[0]}
"""
    if len(scaling := tables(parts["scaling"])) == 3:
        text += f"""## 规模

每个样本的时间（mlp 16-32-2，生成的样本，批大小 100）：

{scaling[0]}
整个进程的内存峰值，MNIST 上的 mlp：

{scaling[1]}
找出一轮顺序中的 100 个下标，也就是恢复一次运行的代价：

{scaling[2]}
"""
    if modules := tables(parts["modules"]):
        text += f"""## 其他库的模块

同一个网络（784-128-10，普通的 SGD，MNIST）写成各个库的模块，
轮流用库自己的循环和 `epochal.train(model=module)` 训练；
每次迭代的微秒数的中位数，以及比值和它的中间一半。

{modules[0]}
"""
    if estimators := tables(parts["estimators"]):
        text += f"""## 估计器的拟合

128 个隐藏单元的多层感知机，Adam，在同一个进程里轮流拟合：时钟上的毫秒数，中位数和中间一半，以及每一轮之内的比值。
iris 上每次拟合的 N、学习率和随机种子都不同，其间不编译。
单独测量用 `python bench/estimators.py`，它还比较首次拟合和分数：[scikit-learn](scikit-learn.zh-CN.md#速度)。

{estimators[0]}
"""
    return text.rstrip("\n") + "\n"
