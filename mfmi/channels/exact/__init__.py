"""The exact scalar channel, by quadrature and as tables (theory (14))."""
