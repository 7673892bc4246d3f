"""What a trial tells: is a cache true, are rows independent, does the model look ahead?"""
