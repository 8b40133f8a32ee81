"""Lessons: questions about epochs, batches and rates, each answered by trainings that anybody can repeat.

Data flow one way in each: a plan of trainings -> trainings by the ordinary engine -> rows -> tables, a picture, texts.
"""
