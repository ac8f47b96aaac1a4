"""Finite random networks, theory (1): the oracle that the theory is tested against.

Every measure here looks at one network and takes one seed; :func:`over_networks` averages it over independent
networks, so that each standard error is the scatter between networks, which holds the randomness of weights, biases,
inputs, and noise at once. A network's seed is its own branch of one :class:`numpy.random.SeedSequence`: a result
depends neither on the number of processes nor on which other measures are taken.
"""

from mfmi.simulate._average import Average, average, jackknife, over_networks
from mfmi.simulate._convolution_streams import ConvolutionStreamLaw
from mfmi.simulate._convolutions import ConvolutionLaw, measure_convolution_decoder
from mfmi.simulate._decoder import DecoderSample, decoder_information, measure_decoder
from mfmi.simulate._maps import JacobianSample, MapSample, measure_jacobian, measure_maps, relative_variance
from mfmi.simulate._nested_monte_carlo import InformationBracket, bracket_information, measure_information
from mfmi.simulate._network import (
    Network,
    NetworkLaw,
    Nonlinearity,
    gaussian_matrix,
    network_seed,
    orthogonal_matrix,
    spectrum_matrix,
)
from mfmi.simulate._real_inputs import RealInputSample, measure_real_inputs
from mfmi.simulate._streams import StreamJacobian, StreamLaw, measure_stream_jacobian, measure_stream_maps
from mfmi.simulate._trend import Trend, fit_trend

__all__ = [
    "Average",
    "ConvolutionLaw",
    "ConvolutionStreamLaw",
    "DecoderSample",
    "InformationBracket",
    "JacobianSample",
    "MapSample",
    "Network",
    "NetworkLaw",
    "Nonlinearity",
    "RealInputSample",
    "StreamJacobian",
    "StreamLaw",
    "Trend",
    "average",
    "bracket_information",
    "decoder_information",
    "fit_trend",
    "gaussian_matrix",
    "jackknife",
    "measure_convolution_decoder",
    "measure_decoder",
    "measure_information",
    "measure_jacobian",
    "measure_maps",
    "measure_real_inputs",
    "measure_stream_jacobian",
    "measure_stream_maps",
    "network_seed",
    "orthogonal_matrix",
    "over_networks",
    "relative_variance",
    "spectrum_matrix",
]
