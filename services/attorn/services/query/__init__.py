"""Questions to the views: a request on `attorn.q.<view>`, the answer and its position in reply."""
