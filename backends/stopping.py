from widthwise.core.stopping import Stop, StopMatcher

__all__ = ["Stop", "StopMatcher"]
